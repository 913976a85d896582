package crashpoint_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/internal/crashpoint"
)

const repository = "../.."

// called are the names that the code calls Here with, and where.
func called(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, root := range []string{"internal", "services", "standalone"} {
		err := filepath.WalkDir(filepath.Join(repository, root), func(path string, d fs.DirEntry, err error) error {
			if d != nil && d.Name() == "testdata" {
				return fs.SkipDir
			}
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			return namesIn(path, func(name string) { out[name] = append(out[name], path) })
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func namesIn(path string, found func(name string)) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 1 {
			return true
		}
		f, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || f.Sel.Name != "Here" {
			return true
		}
		name := "(not a literal)"
		if x, ok := call.Args[0].(*ast.BasicLit); ok {
			name, _ = strconv.Unquote(x.Value)
		}
		found(name)
		return true
	})
	return nil
}

// Every name in the code is in the list, every name of the list is in the code, and at one place each.
func TestTheListIsWhole(t *testing.T) {
	in := called(t)
	for name, where := range in {
		if !slices.ContainsFunc(crashpoint.Points, func(p crashpoint.Point) bool { return p.Name == name }) {
			t.Errorf("%s in %v is not in the list", name, where)
		}
		if len(where) != 1 {
			t.Errorf("%s stands in %v: give each place a name of its own", name, where)
		}
	}
	for _, p := range crashpoint.Points {
		if len(in[p.Name]) == 0 {
			t.Errorf("%s is in the list and not in the code", p.Name)
		}
		if p.At == "" {
			t.Errorf("%s has no description", p.Name)
		}
	}
}

// try runs a program that passes "a" twice and "b" once, built with or without the tag, and returns what it said.
func try(t *testing.T, bin, at string) (out string, killed bool) {
	t.Helper()
	cmd := exec.Command(bin)
	cmd.Env = append(os.Environ(), crashpoint.Variable+"="+at)
	text, _ := cmd.Output()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return string(text), ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

func build(t *testing.T, flags ...string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "passer")
	if out, err := exec.Command("go", slices.Concat([]string{"build"}, flags, []string{"-o", bin, "./testdata/passer"})...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

func TestAProcessEndsWhereItIsTold(t *testing.T) {
	bin := build(t, "-tags", "crashpoint")
	for at, want := range map[string]string{"a": "", "a:1": "", "a:2": "a", "b": "aa", "": "aab", "c": "aab", "a:9": "aab"} {
		out, killed := try(t, bin, at)
		if out != want || killed != (want != "aab") {
			t.Errorf("%q: said %q, killed %v, want %q", at, out, killed, want)
		}
	}
}

func TestNothingHappensWithoutTheTag(t *testing.T) {
	if out, killed := try(t, build(t), "a"); out != "aab" || killed {
		t.Errorf("said %q, killed %v", out, killed)
	}
}
