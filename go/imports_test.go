package eshm

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestOnlyShmUsesTheSystem: only internal/shm may use addresses and system calls.
func TestOnlyShmUsesTheSystem(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, one := range file.Imports {
			name, err := strconv.Unquote(one.Path.Value)
			if err != nil {
				return err
			}
			closed := name == "unsafe" || name == "C" || name == "syscall" || strings.HasPrefix(name, "golang.org/x/sys")
			if closed && filepath.Dir(path) != filepath.Join("internal", "shm") {
				t.Errorf("%s imports %s", path, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
