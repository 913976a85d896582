package install

import (
	"context"
	"strings"
	"unicode/utf16"
)

// windows installs on Windows: a service, or an entry of the Task Scheduler.
type windows struct {
	task           bool
	data, programs string // %ProgramData% and %ProgramFiles%
}

const (
	// ServiceName is the agent's among the services of Windows.
	ServiceName = "gensyn-agent"
	taskName    = "Gensyn Monitor agent"
	displayName = "Gensyn Monitor agent"
)

func (w windows) paths() paths {
	return paths{
		program:  w.programs + `\gensyn-agent\gensyn-agent.exe`,
		settings: w.data + `\gensyn-agent\gensyn-agent.env`,
		state:    w.data + `\gensyn-agent`,
	}
}

func (windows) ready(System) error { return nil }

// old finds the entries of the Task Scheduler that ran the first agents.
func (windows) old(ctx context.Context, s System) (found []string, end []step) {
	for _, name := range oldTasks(ctx, s) {
		if disabled(ctx, s, name) {
			continue // by an installation before this one, or by people
		}
		found = append(found, "task "+name)
		end = append(end, run("schtasks.exe", "/Change", "/TN", name, "/DISABLE"), try("schtasks.exe", "/End", "/TN", name))
	}
	return found, end
}

// disabled reports whether a task does not run any more. What schtasks prints is in the language of the system, but for
// the definition of a task.
func disabled(ctx context.Context, s System, name string) bool {
	xml, err := s.Run(ctx, "schtasks.exe", "/Query", "/TN", name, "/XML")
	xml = strings.ReplaceAll(xml, "\x00", "") // it may come as UTF-16
	_, settings, _ := strings.Cut(xml, "<Settings>")
	settings, _, _ = strings.Cut(settings, "</Settings>")
	return err == nil && strings.Contains(settings, "<Enabled>false</Enabled>")
}

func oldTasks(ctx context.Context, s System) (names []string) {
	list, err := s.Run(ctx, "schtasks.exe", "/Query", "/FO", "CSV", "/NH")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(list) {
		name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), `"`), `"`)
		if strings.Contains(strings.ToLower(name), "gensyn") && !strings.HasSuffix(name, `\`+taskName) {
			names = append(names, name)
		}
	}
	return names
}

// oldSettings are variables of the environment, which Options.Env has.
func (windows) oldSettings(System) map[string]string { return nil }

// arguments are the command line of the program.
func (w windows) arguments(p paths) string {
	return `run --config "` + p.settings + `" --log "` + p.state + `\gensyn-agent.log"`
}

func (w windows) install(p paths, _ map[string]string) []step {
	// net waits until a service has stopped, sc does not. The ids are SYSTEM and administrators in every language.
	steps := []step{run("icacls.exe", p.settings, "/inheritance:r", "/grant:r", "*S-1-5-18:F", "*S-1-5-32-544:F")}
	if w.task {
		file := p.state + `\task.xml`
		return append(steps,
			try("net.exe", "stop", ServiceName),
			try("sc.exe", "delete", ServiceName),
			write("write "+file, file, utf16File(w.taskXML(p)), 0o600),
			try("schtasks.exe", "/End", "/TN", taskName),
			run("schtasks.exe", "/Create", "/F", "/TN", taskName, "/XML", file),
			run("schtasks.exe", "/Run", "/TN", taskName),
		)
	}
	command := `"` + p.program + `" ` + w.arguments(p) + " --service"
	return append(steps,
		try("schtasks.exe", "/Delete", "/F", "/TN", taskName),
		try("net.exe", "stop", ServiceName),
		try("sc.exe", "create", ServiceName, "binPath=", command, "start=", "delayed-auto", "DisplayName=", displayName),
		// When it was there already, creating failed, and this brings it up to date.
		run("sc.exe", "config", ServiceName, "binPath=", command, "start=", "delayed-auto", "DisplayName=", displayName),
		run("sc.exe", "description", ServiceName, "Watches the nodes of this machine and reports them to a Gensyn Monitor."),
		// After a crash it starts again: after 10 s, a minute, then every 5 minutes; also after an end with a failure.
		run("sc.exe", "failure", ServiceName, "reset=", "86400", "actions=", "restart/10000/restart/60000/restart/300000"),
		run("sc.exe", "failureflag", ServiceName, "1"),
		run("net.exe", "start", ServiceName),
	)
}

func (windows) uninstall(ctx context.Context, s System, _ paths) []step {
	steps := []step{
		try("net.exe", "stop", ServiceName),
		try("sc.exe", "delete", ServiceName),
		try("schtasks.exe", "/End", "/TN", taskName),
		try("schtasks.exe", "/Delete", "/F", "/TN", taskName),
	}
	for _, name := range oldTasks(ctx, s) {
		steps = append(steps, note(`the earlier agent's task is left as it is: schtasks /Change /TN "`+name+`" /ENABLE lets it run again`))
	}
	return steps
}

// taskXML says what schtasks has no options for: no end after three days, no end on battery, and a new start after a
// crash.
func (w windows) taskXML(p paths) string {
	return `<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <Triggers><BootTrigger><Enabled>true</Enabled></BootTrigger></Triggers>
  <Principals><Principal id="Author"><UserId>S-1-5-18</UserId><RunLevel>HighestAvailable</RunLevel></Principal></Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure><Interval>PT1M</Interval><Count>999</Count></RestartOnFailure>
  </Settings>
  <Actions Context="Author"><Exec><Command>` + xmlText(p.program) + `</Command><Arguments>` + xmlText(w.arguments(p)) + `</Arguments></Exec></Actions>
</Task>
`
}

// utf16File is a text as the Task Scheduler wants its files: UTF-16 with a byte order mark.
func utf16File(text string) []byte {
	out := []byte{0xFF, 0xFE}
	for _, u := range utf16.Encode([]rune(text)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return out
}
