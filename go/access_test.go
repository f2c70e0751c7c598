package eshm

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

func groupOf(t *testing.T, name string) int {
	t.Helper()
	info, err := os.Stat(path(name))
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Sys().(*syscall.Stat_t).Gid)
}

func TestGroupIsThatOfTheOption(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can choose any group")
	}
	name := freshName(t)
	master := open(t, name, Master, WithGroup(12345), WithMode(0o660), WithAutoCleanup(false))
	if group := groupOf(t, name); group != 12345 {
		t.Errorf("group %d", group)
	}
	_ = master.Close()
	// A takeover sets the group. One without the option leaves it.
	_ = open(t, name, Master, WithGroup(54321), WithAutoCleanup(false)).Close()
	_ = open(t, name, Master, WithAutoCleanup(false)).Close()
	if group := groupOf(t, name); group != 54321 {
		t.Errorf("group %d", group)
	}
}

// chooseAGroup opens a segment as a user who is no member of the group.
func chooseAGroup(segment string) {
	must(syscall.Setgroups(nil))
	must(syscall.Setresgid(12345, 12345, 12345))
	must(syscall.Setresuid(12345, 12345, 12345))
	_, err := Open(context.Background(), segment, Master, WithGroup(54321))
	say(Code(err))
	say(err)
}

func TestGroupOfOthersIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	name := freshName(t)
	child := startScenario(t, "group of others", name, 0)
	child.says(t, "-2")
	child.says(t, "giving it to its group", "user 12345", "group 54321")
	child.ends(t)
	if exists(name) {
		t.Error("a segment is left")
	}
}

// makeByUmask creates a segment whose permissions come from the umask, and takes it over under another umask.
func makeByUmask(segment string) {
	for _, mask := range []int{0o027, 0} {
		syscall.Umask(mask)
		master, err := Open(context.Background(), segment, Master, WithMode(0o600), WithModeByUmask(), WithAutoCleanup(false))
		must(err)
		info, err := os.Stat(path(segment))
		must(err)
		say(fmt.Sprintf("%04o", info.Mode().Perm()))
		must(master.Close())
	}
}

func TestModeByUmask(t *testing.T) {
	name := freshName(t)
	child := startScenario(t, "mode by umask", name, 0)
	child.says(t, "0640")
	child.says(t, "0640")
	child.ends(t)
	_ = open(t, name, Master, WithModeByUmask(), WithMode(0o644), WithAutoCleanup(false)).Close()
	if info, err := os.Stat(path(name)); err != nil || !strings.HasSuffix(info.Mode().String(), "rw-r--r--") {
		t.Errorf("%v, %v: the later option counts", info.Mode(), err)
	}
}
