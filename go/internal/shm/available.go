package shm

import (
	"bufio"
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A control group's memory, in the files of one version of cgroups.
type controlGroups struct {
	mounts             []string // where they are mounted, usually
	limit, use         string   // bytes
	swapLimit, swapUse string   // of swap, or, in version 1, of memory and swap
	combined           bool     // memory and swap
	cached             []string // lines of memory.stat: caches of files, which the kernel gives up first
}

var (
	version2 = controlGroups{
		mounts: []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"},
		limit:  "memory.max", use: "memory.current", swapLimit: "memory.swap.max", swapUse: "memory.swap.current",
		cached: []string{"inactive_file", "active_file"},
	}
	version1 = controlGroups{
		mounts: []string{"sys/fs/cgroup/memory"},
		limit:  "memory.limit_in_bytes", use: "memory.usage_in_bytes",
		swapLimit: "memory.memsw.limit_in_bytes", swapUse: "memory.memsw.usage_in_bytes", combined: true,
		cached: []string{"total_inactive_file", "total_active_file"},
	}
)

// memoryLeft returns how many bytes of memory this process can still use, swap included, and who limits them: the
// machine or a control group. The kernel ends a process that uses more. known is false where the files that tell are
// missing. They are looked up under the root directory.
func memoryLeft(root string) (left uint64, whose string, known bool) {
	machine := numbers(filepath.Join(root, "proc/meminfo"))
	swap := machine["SwapFree:"] * 1024
	left, whose = math.MaxUint64, "the machine"
	if available, found := machine["MemAvailable:"]; found {
		left, known = available*1024+swap, true
	}
	file, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return left, whose, known
	}
	for line := range strings.Lines(string(file)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) < 3 {
			continue
		}
		groups := &version2
		if parts[1] != "" {
			groups = &version1
			if !hasWord(parts[1], "memory") {
				continue
			}
		}
		if least, group, found := groups.left(root, parts[2], swap); found && least < left {
			left, whose, known = least, "the control group "+group, true
		}
	}
	return left, whose, known
}

func hasWord(list, word string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if one == word {
			return true
		}
	}
	return false
}

// left returns the least that a group and those around it have left, and which one it is.
func (c *controlGroups) left(root, group string, swap uint64) (least uint64, who string, known bool) {
	for _, mount := range c.mounts {
		for at := filepath.Clean("/" + group); ; at = filepath.Dir(at) {
			if left, found := c.leftIn(filepath.Join(root, mount, at), swap); found && (!known || left < least) {
				least, who, known = left, at, true
			}
			if at == "/" {
				break
			}
		}
	}
	return least, who, known
}

// leftIn returns what one group has left, if it has a limit.
func (c *controlGroups) leftIn(folder string, swap uint64) (left uint64, known bool) {
	limit, limited := number(filepath.Join(folder, c.limit))
	use, used := number(filepath.Join(folder, c.use))
	if !limited || !used {
		return 0, false
	}
	stat := numbers(filepath.Join(folder, "memory.stat"))
	left = limit - min(limit, use)
	for _, cache := range c.cached {
		left += stat[cache]
	}
	swapLimit, limited := number(filepath.Join(folder, c.swapLimit))
	swapUse, used := number(filepath.Join(folder, c.swapUse))
	if limited && used {
		rest := swapLimit - min(swapLimit, swapUse)
		if c.combined {
			rest -= min(rest, limit-min(limit, use))
		}
		swap = min(swap, rest)
	}
	return left + swap, true
}

// number returns the content of a file of one number; known is false for "max".
func number(path string) (value uint64, known bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	value, err = strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return value, err == nil
}

// numbers returns the lines of a file, a name and a number each.
func numbers(path string) map[string]uint64 {
	found := map[string]uint64{}
	text, err := os.ReadFile(path)
	if err != nil {
		return found
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			continue
		}
		if value, err := strconv.ParseUint(words[1], 10, 64); err == nil {
			found[words[0]] = value
		}
	}
	return found
}
