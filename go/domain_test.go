package eshm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDomainsAreChecked(t *testing.T) {
	longest := strings.Repeat("p", 64)
	for what, one := range map[string]struct {
		domain Domain
		parts  []string // of the refusal; none: it is accepted
	}{
		"default":            {Domain{"/dev/shm", "eshm_"}, nil},
		"root":               {Domain{"/", "p"}, nil},
		"no prefix":          {Domain{"/tmp", ""}, nil},
		"strange":            {Domain{"/größe/a b/", "größe "}, nil},
		"longest prefix":     {Domain{"/tmp", longest}, nil},
		"nothing":            {Domain{}, []string{"the directory", `""`, "an absolute path"}},
		"relative":           {Domain{"./shm", "p"}, []string{"the directory", `"./shm"`, "an absolute path"}},
		"home":               {Domain{"~/shm", "p"}, []string{"the directory", "an absolute path"}},
		"NUL in directory":   {Domain{"/a\x00b", "p"}, []string{"the directory", `\x00`, "without NUL"}},
		"slash in prefix":    {Domain{"/tmp", "a/"}, []string{"the prefix", `"a/"`, "0 to 64 bytes"}},
		"dots in prefix":     {Domain{"/tmp", "a..b"}, []string{"the prefix", "0 to 64 bytes"}},
		"NUL in prefix":      {Domain{"/tmp", "a\x00"}, []string{"the prefix", "0 to 64 bytes"}},
		"prefix is no text":  {Domain{"/tmp", "\xff"}, []string{"the prefix", "UTF-8"}},
		"prefix by one byte": {Domain{"/tmp", longest + "p"}, []string{"the prefix", "0 to 64 bytes"}},
	} {
		_, _, err := newSettings("name", []Option{WithDomain(one.domain)})
		if one.parts == nil {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		expectKind(t, what, err, ErrInvalidDomain)
		if Code(err) != -1 {
			t.Errorf("%s: error %d, expected -1", what, Code(err))
		}
		for _, part := range one.parts {
			if err != nil && !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v does not say %q", what, err, part)
			}
		}
		_, err = one.domain.Segments()
		expectKind(t, what, err, ErrInvalidDomain)
		_, err = one.domain.RemoveDead()
		expectKind(t, what, err, ErrInvalidDomain)
	}
}

func TestNamesFitTheirDomain(t *testing.T) {
	for _, one := range []struct{ prefix, name, wrong, limit string }{
		{"eshm_", "", "is empty", "250"},
		{"eshm_", strings.Repeat("n", 251), "is too long", "250"},
		{"", strings.Repeat("n", 256), "is too long", "255"},
		{strings.Repeat("p", 64), strings.Repeat("n", 192), "is too long", "191"},
		{"", ".", "is that of the directory", "255"},
		{"a.", ".b", "contains '..'", "253"},
		{"eshm_", ".eshm-tmp-1", "for temporary files", "250"},
		{".eshm", "-tmp-1", "for temporary files", "250"},
		{"", strings.Repeat("n", 255), "", ""},
		{strings.Repeat("p", 64), strings.Repeat("n", 191), "", ""},
		{"eshm_", ".", "", ""},
	} {
		at, err := addressOf(Domain{"/some/where/", one.prefix}, one.name)
		if one.wrong == "" {
			if err != nil || at.path != "/some/where/"+one.prefix+one.name {
				t.Errorf("%q: %q, %v", one.prefix, at.path, err)
			}
			continue
		}
		expectKind(t, one.name, err, ErrInvalidName)
		if err != nil && (!strings.Contains(err.Error(), one.wrong) || !strings.Contains(err.Error(), "1 to "+one.limit+" bytes")) {
			t.Errorf("%q: %v does not say %q and %s", one.name, err, one.wrong, one.limit)
		}
	}
}

func TestEnvironmentChoosesTheDefaultDomain(t *testing.T) {
	directory := t.TempDir()
	t.Setenv(directoryVariable, "")
	t.Setenv(prefixVariable, "")
	expect := func(expected Domain) {
		t.Helper()
		if found, err := DefaultDomain(); err != nil || found != expected {
			t.Errorf("%v, %v; expected %v", found, err, expected)
		}
	}
	expect(Domain{"/dev/shm", "eshm_"})
	t.Setenv(directoryVariable, directory)
	expect(Domain{directory, "eshm_"})
	t.Setenv(prefixVariable, "mine.")
	expect(Domain{directory, "mine."})
	// Read at each open without an explicit one; what an endpoint was opened with, it keeps.
	master := open(t, "robot", Master)
	if _, err := os.Stat(filepath.Join(directory, "mine.robot")); err != nil {
		t.Error(err)
	}
	t.Setenv(prefixVariable, "other.")
	_, err := Open(within(t, soon), "robot", Slave, WithConnectTimeout(0))
	expectKind(t, "another prefix", err, ErrNotFound)
	slave := open(t, "robot", Slave, WithDomain(Domain{directory, "mine."}))
	mustSend(t, master, "hello")
	mustRecv(t, slave, "hello")
	if err := errors.Join(slave.Close(), master.Close()); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(directory + "/*"); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
	t.Setenv(prefixVariable, "a/b")
	for what, call := range map[string]func() error{
		"Open":       func() error { _, err := Open(within(t, soon), "robot", Master); return err },
		"Segments":   func() error { _, err := Segments(); return err },
		"RemoveDead": func() error { _, err := RemoveDead(); return err },
		"FindDead":   func() error { _, err := FindDead(); return err },
	} {
		err := call()
		expectKind(t, what, err, ErrInvalidDomain)
		if err != nil && !strings.Contains(err.Error(), prefixVariable) {
			t.Errorf("%v does not name the variable", err)
		}
	}
}

func TestEndpointsStayInTheirDomain(t *testing.T) {
	domain := WithDomain(Domain{t.TempDir(), "p-"})
	master := open(t, "robot", Master, domain, WithAutoCleanup(false))
	slave := open(t, "robot", Slave, domain, often)
	mustSend(t, slave, "accepted")
	_ = master.Close()
	successor := open(t, "robot", Master, domain, WithDataSize(100))
	mustRecv(t, successor, "accepted")
	mustSend(t, successor, "back")
	mustRecv(t, slave, "back")
	// A name that is removed comes back in the same place.
	if err := os.Remove(successor.path); err != nil {
		t.Fatal(err)
	}
	until(t, "the name is back", func() bool {
		_, err := os.Stat(successor.path)
		return err == nil
	})
	if exists("robot") {
		t.Error("it is in /dev/shm")
	}
}

func TestMissingDirectoryIsNamed(t *testing.T) {
	missing := Domain{filepath.Join(t.TempDir(), "missing"), "eshm_"}
	_, err := Open(within(t, soon), "robot", Master, WithDomain(missing))
	expectKind(t, "Open", err, ErrCreate)
	if err == nil || !strings.Contains(err.Error(), missing.Directory+" is missing") {
		t.Errorf("%v does not say what is missing", err)
	}
	_, err = missing.Segments()
	expectKind(t, "Segments", err, ErrDirectory)
	_, err = missing.RemoveDead()
	expectKind(t, "RemoveDead", err, ErrDirectory)
}
