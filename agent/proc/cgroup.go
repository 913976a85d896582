package proc

import (
	"context"
	"path"
	"strings"
)

// cgroup finds the container and the systemd service in a file such as /proc/1/cgroup, whose lines are
// "ID:CONTROLLERS:PATH". Docker, containerd and podman write the container's id into the path in several ways.
func cgroup(text string) (container, unit string) {
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		for part := range strings.SplitSeq(fields[2], "/") {
			if id := containerID(part); id != "" {
				container = id
			}
			if strings.HasSuffix(part, ".service") && !strings.HasPrefix(part, "user@") {
				unit = part
			}
		}
	}
	if container != "" {
		unit = "" // that of the container engine
	}
	return container, unit
}

// containerID takes the id out of one part of a path: ID, docker-ID.scope, cri-containerd-ID.scope, libpod-ID.scope.
func containerID(part string) string {
	id := strings.TrimSuffix(part, ".scope")
	if i := strings.LastIndexAny(id, "-:"); i >= 0 {
		id = id[i+1:]
	}
	if len(id) != 64 || strings.Trim(id, "0123456789abcdef") != "" {
		return ""
	}
	return id
}

// Supervisor tells what keeps a process running: "docker:ID", "screen:NAME", "tmux:NAME", "tmux", "systemd:UNIT", or ""
// for a plain shell. Without the right to see the environment of a process it looks at its ancestors.
func (t *Table) Supervisor(p Process) string {
	switch {
	case p.Container != "":
		return "docker:" + p.Container[:12]
	case p.Screen != "":
		return "screen:" + p.Screen
	}
	for _, pid := range t.Ancestors(p.PID) {
		args := strings.Fields(strings.ReplaceAll(string(t.file(pid, "cmdline")), "\x00", " "))
		if len(args) == 0 {
			continue
		}
		// screen calls its server SCREEN; tmux keeps the command line that started its server.
		switch program := strings.ToLower(path.Base(args[0])); {
		case program == "screen":
			return withName("screen", option(args, "-S"))
		case strings.HasPrefix(program, "tmux"):
			return withName("tmux", option(args, "-s"))
		}
	}
	if p.Tmux {
		return "tmux"
	}
	if p.Unit != "" {
		return "systemd:" + p.Unit
	}
	return ""
}

func withName(kind, name string) string {
	if name == "" {
		return kind
	}
	return kind + ":" + name
}

// option finds what follows a letter such as -S among arguments, also at the end of several in one: -dmS.
func option(args []string, name string) string {
	for i, arg := range args[1:] {
		if len(arg) > 1 && arg[0] == '-' && arg[1] != '-' && strings.HasSuffix(arg, name[1:]) && i+2 < len(args) {
			return args[i+2]
		}
	}
	return ""
}

// Session reports whether a process of a program, screen or tmux, was started to make a session of a name, which option
// gives: "SCREEN -dmS gensyn", "tmux new -s gensyn". Everybody may see that, also who may not ask the program itself.
func (t *Table) Session(ctx context.Context, program, flag, name string) bool {
	found := false
	err := t.Scan(ctx, func(_ int, line []byte) bool {
		args := strings.Fields(string(line))
		if len(args) > 0 && strings.HasPrefix(strings.ToLower(path.Base(args[0])), program) {
			found = option(args, flag) == name
		}
		return !found
	})
	return err == nil && found
}
