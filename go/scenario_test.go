package eshm

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// childScenario is set in a process that startScenario starts. It runs the scenario on the segment childName.
const childScenario = "ESHM_TEST_SCENARIO"

// scenarios need a process of their own: limits, users, mounts. Each prints what it finds, line by line.
var scenarios map[string]func(segment string)

func init() {
	scenarios = map[string]func(string){
		"umask 0":         func(segment string) { makeUnderUmask(segment, 0) },
		"umask 077":       func(segment string) { makeUnderUmask(segment, 0o077) },
		"umask 0777":      func(segment string) { makeUnderUmask(segment, 0o777) },
		"limited":         makeUnderALimit,
		"replace":         replaceUnderALimit,
		"replace small":   replaceInASmallShm,
		"small shm":       useASmallShm,
		"read-only shm":   useAReadOnlyShm,
		"no descriptors":  runOutOfDescriptors,
		"address space":   runOutOfAddressSpace,
		"no proc":         useNoProc,
		"timer":           makeUnderATimer,
		"guest":           openAsGuest,
		"guest removes":   removeAsGuest,
		"control group":   makeInAControlGroup,
		"group of others": chooseAGroup,
		"mode by umask":   makeByUmask,
		"crowd":           waitInACrowd,
		"sleep":           waitWithoutAThread,
		"echoes":          echoes,
		"echo park":       func(segment string) { echo(segment, Park) },
		"echo adaptive":   func(segment string) { echo(segment, Adaptive) },
	}
}

// say prints a line for the parent.
func say(what any) { fmt.Println(strings.ReplaceAll(fmt.Sprint(what), "\n", " ")) }

// must ends a scenario that cannot continue.
func must(err error) {
	if err != nil {
		say(err)
		os.Exit(1)
	}
}

// startScenario starts a process that runs a scenario, in namespaces of its own if there are flags. It skips the test
// where the system does not allow that.
func startScenario(t testing.TB, scenario, segment string, flags uintptr) child {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childScenario+"="+scenario, childName+"="+segment)
	command.Stderr = os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Unshareflags: flags}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		if flags != 0 {
			t.Skipf("needs namespaces of its own: %v", err)
		}
		t.Fatal(err)
	}
	c := child{command, bufio.NewReader(output), input}
	t.Cleanup(c.kill)
	return c
}

// says checks that the child's next line contains all of the parts.
func (c child) says(t testing.TB, parts ...string) {
	t.Helper()
	line, err := c.output.ReadString('\n')
	if err != nil {
		t.Fatalf("the child said %q, %v; expected %q", line, err, parts)
	}
	for _, part := range parts {
		if !strings.Contains(line, part) {
			t.Errorf("the child said %q, expected %q", line, part)
		}
	}
}

// ends checks that the child ends without an error and prints nothing more.
func (c child) ends(t testing.TB) {
	t.Helper()
	if rest, _ := c.output.ReadString(0); rest != "" {
		t.Errorf("the child goes on: %q", rest)
	}
	if err := c.command.Wait(); err != nil {
		t.Errorf("the child: %v", err)
	}
}
