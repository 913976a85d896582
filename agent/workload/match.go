package workload

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/agent/proc"
)

// shells run a file that is among their arguments.
var shells = []string{"sh", "bash", "dash", "zsh"}

// program is the name of the program of a command line, without its directory.
func program(line []byte) []byte {
	first, _, _ := bytes.Cut(line, []byte(" "))
	return first[bytes.LastIndexAny(first, `/\`)+1:]
}

// fits reports whether a command line is of this pattern, as far as a cheap look tells: a thousand lines pass by here.
func (p *Pattern) fits(program, line []byte) bool {
	if p.Program == "sh" {
		name := strings.TrimPrefix(string(program), "-")
		return slices.Contains(shells, name) && bytes.Contains(line, p.has)
	}
	n := len(p.program)
	return len(program) >= n && bytes.EqualFold(program[:n], p.program) && bytes.Contains(line, p.has)
}

// runs reports whether a shell runs a file of this pattern, and not a command line or another script with its name in it.
func (p *Pattern) runs(args []string) bool {
	return p.Program != "sh" || filepath.Base(script(args)) == p.Has
}

// takeValue are options of shells that have a value in the next argument.
var takeValue = []string{"-o", "+o", "-O", "+O", "--rcfile", "--init-file"}

// script is the file that a shell runs, "" when it runs none: its first argument that is no option. With -c it runs a
// command line.
func script(args []string) string {
	for i := 1; i < len(args); i++ {
		switch arg := args[i]; {
		case slices.Contains(takeValue, arg):
			i++
		case arg == "--" && i+1 < len(args):
			return args[i+1]
		case len(arg) > 1 && arg[0] == '-' && arg[1] != '-' && strings.Contains(arg, "c"):
			return ""
		case arg == "" || arg[0] != '-' && arg[0] != '+':
			return arg
		}
	}
	return ""
}

// dir is the directory of the node that a process belongs to, "" when it cannot be told; false when nothing but its
// ancestors can tell whether it is part of a node.
func (p *Pattern) dir(process *proc.Process) (string, bool) {
	path := process.Dir
	if p.Option != "" {
		path = cmpPath(value(process.Args, p.Option), process.Dir)
	}
	if path == "" || !filepath.IsAbs(path) {
		return "", !p.Must
	}
	path = filepath.Clean(path)
	for _, end := range p.Strip {
		if rest, ok := strings.CutSuffix(path, string(filepath.Separator)+filepath.FromSlash(end)); ok {
			if rest == "" {
				rest = string(filepath.Separator)
			}
			return rest, true
		}
	}
	if p.Must {
		return "", false
	}
	if p.Option != "" {
		path = process.Dir // it points elsewhere
	}
	return path, true
}

// cmpPath joins a path that is not absolute to the directory it is meant in.
func cmpPath(path, dir string) string {
	switch {
	case path == "" || dir == "" && !filepath.IsAbs(path):
		return dir
	case filepath.IsAbs(path):
		return path
	}
	return filepath.Join(dir, path)
}

// value is what an option is set to: -id=VALUE or -id VALUE.
func value(args []string, option string) string {
	for i, arg := range args {
		if v, ok := strings.CutPrefix(arg, option+"="); ok {
			return v
		}
		if arg == option && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}
