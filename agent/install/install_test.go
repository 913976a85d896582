package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/contract/envfile"
)

// machine is a System in memory.
type machine struct {
	files  map[string]string
	modes  map[string]fs.FileMode
	ran    []string
	tasks  string // what schtasks lists
	xml    string // what it says of a task
	refuse string // a command that fails
}

func newMachine(files map[string]string) *machine {
	return &machine{files: files, modes: map[string]fs.FileMode{}}
}

func (m *machine) ReadFile(name string) ([]byte, error) {
	text, ok := m.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return []byte(text), nil
}

func (m *machine) WriteFile(name string, data []byte, mode fs.FileMode) error {
	m.files[name], m.modes[name] = string(data), mode
	return nil
}

func (m *machine) Remove(name string) error {
	for file := range m.files {
		if file == name || strings.HasPrefix(file, name+"/") {
			delete(m.files, file)
		}
	}
	return nil
}

func (m *machine) Glob(pattern string) (out []string) {
	for name := range m.files {
		if ok, _ := path.Match(pattern, name); ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func (m *machine) Run(_ context.Context, name string, args ...string) (string, error) {
	line := strings.Join(append([]string{name}, args...), " ")
	if strings.HasSuffix(line, "/XML") {
		return m.xml, nil
	}
	if strings.Contains(line, "/Query") {
		return m.tasks, nil
	}
	m.ran = append(m.ran, line)
	if m.refuse != "" && strings.Contains(line, m.refuse) {
		return "", errors.New("refused")
	}
	return "", nil
}

// linux is a machine with systemd and this program in a download directory.
func linux(more map[string]string) *machine {
	files := map[string]string{"/run/systemd/system": "", "/tmp/gensyn-agent": "the program"}
	for name, text := range more {
		files[name] = text
	}
	return newMachine(files)
}

type asked struct {
	bytes.Buffer
	questions []string
	answer    bool
}

func options(goos string, a *asked) Options {
	return Options{
		GOOS: goos, Root: true, Self: "/tmp/gensyn-agent", Parse: envfile.Parse, Out: a,
		Names:       []string{"SERVER_URL", "SHARED_SECRET", "META", "ON_DOWN_CMD"},
		ProgramData: `C:\ProgramData`, ProgramFiles: `C:\Program Files`,
		Validate: func(set map[string]string) error {
			for _, name := range []string{"SERVER_URL", "SHARED_SECRET"} {
				if set[name] == "" {
					return fmt.Errorf("%s is missing", name)
				}
			}
			return nil
		},
		Ask: func(q string) (bool, error) { a.questions = append(a.questions, q); return a.answer, nil },
	}
}

const env = "SERVER_URL=https://m.example\r\nSHARED_SECRET=hunter2\r\n"

func wantRan(t *testing.T, m *machine, want ...string) {
	t.Helper()
	if !slices.Equal(m.ran, want) {
		t.Errorf("ran\n  %s\nwant\n  %s", strings.Join(m.ran, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestInstallOnLinux(t *testing.T) {
	m, a := linux(map[string]string{"/etc/gensyn-agent.env": env}), &asked{}
	if err := Install(t.Context(), m, options("linux", a)); err != nil {
		t.Fatal(err)
	}
	wantRan(t, m, "systemctl daemon-reload", "systemctl enable gensyn-agent.service", "systemctl restart gensyn-agent.service")
	if len(a.questions) != 0 {
		t.Errorf("asked %q, though nothing is replaced", a.questions)
	}
	if m.files["/usr/local/bin/gensyn-agent"] != "the program" || m.modes["/usr/local/bin/gensyn-agent"] != 0o755 {
		t.Error("the program is not in its place")
	}
	if m.files["/etc/gensyn-agent.env"] != env || m.modes["/etc/gensyn-agent.env"] != 0o600 {
		t.Errorf("settings %q, mode %v: they hold the secret", m.files["/etc/gensyn-agent.env"], m.modes["/etc/gensyn-agent.env"])
	}
	unit := m.files[unitDir+unitName]
	for _, want := range []string{
		"ExecStart=/usr/local/bin/gensyn-agent run --config /etc/gensyn-agent.env\n", "Restart=always\n",
		"StateDirectory=gensyn-agent\n", "ProtectSystem=strict\n", "CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_SYS_PTRACE\n",
	} {
		if !strings.Contains(unit, want) {
			t.Errorf("no %q in\n%s", want, unit)
		}
	}
	if !Caged(m) {
		t.Error("it is in no cage")
	}
	// What probes need to see.
	for _, never := range []string{"\nPrivateTmp", "\nPrivateDevices", "\nProtectProc", "\nProcSubset", "\nPrivateNetwork", "\nUser=", "\nDynamicUser", "KillMode", "\nPrivateUsers"} {
		if strings.Contains(unit, never) {
			t.Errorf("%q would hide what probes look at", never)
		}
	}
	// Done again it asks nothing, and changes nothing but the program.
	m.ran = nil
	if err := Install(t.Context(), m, options("linux", a)); err != nil || len(a.questions) != 0 || m.files[unitDir+unitName] != unit {
		t.Errorf("%v, asked %q", err, a.questions)
	}
}

// TestWithACommandThereIsNoCage: what the command starts would be in it, and would end with the agent.
func TestWithACommandThereIsNoCage(t *testing.T) {
	m := linux(map[string]string{"/etc/gensyn-agent.env": env + "ON_DOWN_CMD=/opt/restart\n"})
	if err := Install(t.Context(), m, options("linux", &asked{})); err != nil {
		t.Fatal(err)
	}
	if Caged(m) {
		t.Error("it is in a cage")
	}
	unit := m.files[unitDir+unitName]
	if !strings.Contains(unit, "\nKillMode=process\n") || strings.Contains(unit, "Protect") || strings.Contains(unit, "NoNewPrivileges") {
		t.Errorf("unit\n%s", unit)
	}
}

const (
	oldTimer   = "[Timer]\nOnUnitActiveSec=60\n"
	oldService = "[Service]\nType=oneshot\nEnvironment=SERVER_URL=http://old.example SHARED_SECRET=from-unit\n" +
		"Environment=\"META=left rack\" 'ODD=x'\nExecStart=/usr/local/bin/agent.sh\n"
)

func TestTheOldAgentIsReplacedAfterAsking(t *testing.T) {
	old := map[string]string{unitDir + "gensyn-agent.timer": oldTimer, unitDir + unitName: oldService}
	m, a := linux(old), &asked{}
	if err := Install(t.Context(), m, options("linux", a)); !errors.Is(err, ErrDeclined) {
		t.Fatal(err)
	}
	if len(a.questions) != 1 || !strings.Contains(a.questions[0], "gensyn-agent.timer, gensyn-agent.service") {
		t.Errorf("asked %q", a.questions)
	}
	wantRan(t, m)
	if len(m.modes) != 0 {
		t.Errorf("written though the answer was no: %v", m.modes)
	}
	a.answer = true
	if err := Install(t.Context(), m, options("linux", a)); err != nil {
		t.Fatal(err)
	}
	wantRan(t, m, "systemctl disable --now gensyn-agent.timer", "systemctl disable --now gensyn-agent.service",
		"systemctl daemon-reload", "systemctl enable gensyn-agent.service", "systemctl restart gensyn-agent.service")
	set, err := envfile.Parse([]byte(m.files["/etc/gensyn-agent.env"]))
	if err != nil || set["SERVER_URL"] != "http://old.example" || set["SHARED_SECRET"] != "from-unit" || set["META"] != "left rack" || set["ODD"] != "" {
		t.Errorf("settings %v, %v", set, err)
	}
	if m.files[unitDir+unitName+".old"] != oldService || m.modes[unitDir+unitName+".old"] != 0o600 ||
		m.files[unitDir+"gensyn-agent.timer.old"] != oldTimer || m.files[unitDir+"gensyn-agent.timer"] != "" {
		t.Errorf("the old units are not kept: %v", m.files)
	}
	// Done again there is nothing to ask, and nothing to take over.
	if err := Install(t.Context(), m, options("linux", a)); err != nil || len(a.questions) != 2 {
		t.Errorf("%v, asked %q", err, a.questions)
	}
	// Uninstall puts the old one back, off, and says how it is started.
	a.Reset()
	m.ran = nil
	if err := Uninstall(t.Context(), m, options("linux", a)); err != nil {
		t.Fatal(err)
	}
	wantRan(t, m, "systemctl disable --now gensyn-agent.service", "systemctl daemon-reload")
	if m.files[unitDir+unitName] != oldService || m.files[unitDir+"gensyn-agent.timer"] != oldTimer || len(m.Glob(unitDir+"*.old")) != 0 {
		t.Errorf("the old units are not back: %v", m.files)
	}
	if !strings.Contains(a.String(), "systemctl enable --now gensyn-agent.timer starts it") {
		t.Errorf("said\n%s", a)
	}
	if m.modes["/etc/gensyn-agent.env"] != 0o600 {
		t.Errorf("mode %v", m.modes["/etc/gensyn-agent.env"])
	}
}

// TestSettingsOfBothPlacesAreTakenOver: the first agents read the unit's environment and the file, which won.
func TestSettingsOfBothPlacesAreTakenOver(t *testing.T) {
	const unit = "[Service]\nEnvironment=META=unit NODE_ID=%H-old ODD=x https_proxy=http://p:3128 \"SERVER_URL=http://unit.example\"\n"
	m := linux(map[string]string{"/etc/gensyn-agent.env": "META=file\nSHARED_SECRET=s", unitDir + "gensyn-agent.service": unit})
	a := &asked{answer: true}
	o := options("linux", a)
	o.Names = append(o.Names, "NODE_ID", "HTTPS_PROXY")
	if err := Install(t.Context(), m, o); err != nil {
		t.Fatal(err)
	}
	text := m.files["/etc/gensyn-agent.env"]
	set, err := envfile.Parse([]byte(text))
	want := map[string]string{"META": "file", "SHARED_SECRET": "s", "NODE_ID": "$(hostname)-old", "SERVER_URL": "http://unit.example", "HTTPS_PROXY": "http://p:3128"}
	if err != nil || !maps.Equal(set, want) || !strings.HasPrefix(text, "META=file\nSHARED_SECRET=s\n") {
		t.Errorf("settings %v, want %v; %v", set, want, err)
	}
	if !strings.Contains(a.String(), "add HTTPS_PROXY, NODE_ID, SERVER_URL of the earlier agent to /etc/gensyn-agent.env\n") {
		t.Errorf("said\n%s", a)
	}
	// What people take out of the file later stays out.
	m.files["/etc/gensyn-agent.env"] = strings.ReplaceAll(text, "NODE_ID", "# NODE_ID")
	if err := Install(t.Context(), m, o); err != nil || strings.Contains(m.files["/etc/gensyn-agent.env"], "\nNODE_ID") {
		t.Errorf("%v, %q", err, m.files["/etc/gensyn-agent.env"])
	}
}

func TestAnotherUnitsFileIsLeftAlone(t *testing.T) {
	m := linux(map[string]string{"/etc/gensyn-agent.env": env, unitDir + "gensyn-monitor.service": "x", unitDir + "gensyn.timer": "x"})
	a := &asked{}
	if err := Install(t.Context(), m, options("linux", a)); err != nil || len(a.questions) != 0 {
		t.Errorf("%v, asked %q", err, a.questions)
	}
}

func TestWhatCannotBeInstalledChangesNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(o *Options, m *machine)
		want   string
	}{
		"no rights":         {func(o *Options, _ *machine) { o.Root = false }, "needs the rights of an administrator"},
		"no systemd":        {func(_ *Options, m *machine) { delete(m.files, "/run/systemd/system") }, "systemd does not run here"},
		"no settings":       {func(_ *Options, m *machine) { delete(m.files, "/etc/gensyn-agent.env") }, "SERVER_URL is missing (write it into /etc/gensyn-agent.env, or give it"},
		"broken settings":   {func(_ *Options, m *machine) { m.files["/etc/gensyn-agent.env"] = "x" }, "/etc/gensyn-agent.env: line 1: "},
		"an unknown system": {func(o *Options, _ *machine) { o.GOOS = "plan9" }, "cannot install itself on plan9"},
		"--task on Linux":   {func(o *Options, _ *machine) { o.Task = true }, "--task is for Windows alone"},
	} {
		m := linux(map[string]string{"/etc/gensyn-agent.env": env})
		o := options("linux", &asked{answer: true})
		tt.change(&o, m)
		err := Install(t.Context(), m, o)
		if err == nil || !strings.Contains(err.Error(), tt.want) || len(m.ran) > 0 || len(m.modes) > 0 {
			t.Errorf("%s: %v, ran %q, wrote %v", name, err, m.ran, m.modes)
		}
	}
}

func TestAStepThatFailsIsNamed(t *testing.T) {
	m := linux(map[string]string{"/etc/gensyn-agent.env": env})
	m.refuse = "enable"
	err := Install(t.Context(), m, options("linux", &asked{}))
	if err == nil || err.Error() != "run systemctl enable gensyn-agent.service: refused" {
		t.Errorf("%v", err)
	}
}

func TestSettingsOfTheEnvironmentAreTakenOver(t *testing.T) {
	m, a := linux(nil), &asked{}
	o := options("linux", a)
	o.Env = map[string]string{"SERVER_URL": "https://m.example", "SHARED_SECRET": `a'b"c$d`, "META": "", "PATH": "/bin"}
	if err := Install(t.Context(), m, o); err != nil {
		t.Fatal(err)
	}
	set, err := envfile.Parse([]byte(m.files["/etc/gensyn-agent.env"]))
	if err != nil || len(set) != 2 || set["SHARED_SECRET"] != `a'b"c$d` {
		t.Errorf("%v, %v", set, err)
	}
}

func TestADryRunChangesNothingAndShowsNoSecret(t *testing.T) {
	m, a := linux(map[string]string{"/etc/gensyn-agent.env": env, unitDir + "gensyn-agent.timer": oldTimer}), &asked{answer: true}
	before := len(m.files)
	if err := Install(t.Context(), Dry{m, a}, options("linux", a)); err != nil {
		t.Fatal(err)
	}
	wantRan(t, m)
	if len(m.files) != before || len(m.modes) != 0 {
		t.Errorf("%v", m.modes)
	}
	for _, want := range []string{"run systemctl disable --now gensyn-agent.timer\n", "  | ProtectSystem=strict\n", "protect /etc/gensyn-agent.env\n"} {
		if !strings.Contains(a.String(), want) {
			t.Errorf("no %q in\n%s", want, a)
		}
	}
	if strings.Contains(a.String(), "hunter2") {
		t.Errorf("the secret shows:\n%s", a)
	}
}

func TestUninstall(t *testing.T) {
	files := map[string]string{
		"/etc/gensyn-agent.env": env, unitDir + unitName: mark, "/usr/local/bin/gensyn-agent": "x", "/var/lib/gensyn-agent/agent.json": "{}",
	}
	m, a := linux(files), &asked{}
	if err := Uninstall(t.Context(), m, options("linux", a)); err != nil {
		t.Fatal(err)
	}
	wantRan(t, m, "systemctl disable --now gensyn-agent.service", "systemctl daemon-reload")
	if m.files["/etc/gensyn-agent.env"] == "" || m.files["/var/lib/gensyn-agent/agent.json"] == "" {
		t.Error("settings and state are kept unless asked for")
	}
	if _, ok := m.files[unitDir+unitName]; ok || m.files["/usr/local/bin/gensyn-agent"] != "" {
		t.Error("left behind")
	}
	o := options("linux", a)
	o.Purge = true
	if err := Uninstall(t.Context(), m, o); err != nil || len(m.files) != 2 {
		t.Errorf("%v, left %v", err, m.files)
	}
}

func windowsMachine() *machine {
	return newMachine(map[string]string{`C:\ProgramData\gensyn-agent\gensyn-agent.env`: env, "/tmp/gensyn-agent": "the program"})
}

func TestInstallOnWindows(t *testing.T) {
	m, a := windowsMachine(), &asked{answer: true}
	m.tasks = "\"\\Microsoft\\X\",\"N/A\",\"Ready\"\r\n\"\\Gensyn Agent\",\"N/A\",\"Ready\"\r\n\"\\Gensyn Monitor agent\",\"N/A\",\"Ready\"\r\n"
	if err := Install(t.Context(), m, options("windows", a)); err != nil {
		t.Fatal(err)
	}
	const command = `"C:\Program Files\gensyn-agent\gensyn-agent.exe" run --config "C:\ProgramData\gensyn-agent\gensyn-agent.env" --log "C:\ProgramData\gensyn-agent\gensyn-agent.log" --service`
	wantRan(t, m,
		`schtasks.exe /Change /TN \Gensyn Agent /DISABLE`, `schtasks.exe /End /TN \Gensyn Agent`,
		`icacls.exe C:\ProgramData\gensyn-agent\gensyn-agent.env /inheritance:r /grant:r *S-1-5-18:F *S-1-5-32-544:F`,
		`schtasks.exe /Delete /F /TN Gensyn Monitor agent`,
		`net.exe stop gensyn-agent`,
		`sc.exe create gensyn-agent binPath= `+command+` start= delayed-auto DisplayName= Gensyn Monitor agent`,
		`sc.exe config gensyn-agent binPath= `+command+` start= delayed-auto DisplayName= Gensyn Monitor agent`,
		`sc.exe description gensyn-agent Watches the nodes of this machine and reports them to a Gensyn Monitor.`,
		`sc.exe failure gensyn-agent reset= 86400 actions= restart/10000/restart/60000/restart/300000`,
		`sc.exe failureflag gensyn-agent 1`,
		`net.exe start gensyn-agent`,
	)
	if m.files[`C:\Program Files\gensyn-agent\gensyn-agent.exe`] != "the program" {
		t.Error("the program is not in its place")
	}
	if len(a.questions) != 1 || !strings.Contains(a.questions[0], `task \Gensyn Agent.`) {
		t.Errorf("asked %q", a.questions)
	}
	// Done again it asks nothing: the task is disabled, and not only its trigger.
	m.xml = "<Triggers><Enabled>false</Enabled></Triggers><Settings><Enabled>true</Enabled></Settings>"
	if err := Install(t.Context(), m, options("windows", a)); err != nil || len(a.questions) != 2 {
		t.Errorf("%v, asked %q", err, a.questions)
	}
	m.xml = string(utf16File("<Triggers><Enabled>true</Enabled></Triggers><Settings><Enabled>false</Enabled></Settings>"))
	if err := Install(t.Context(), m, options("windows", a)); err != nil || len(a.questions) != 2 {
		t.Errorf("%v, asked %q", err, a.questions)
	}
	a.Reset()
	if err := Uninstall(t.Context(), m, options("windows", a)); err != nil || !strings.Contains(a.String(), `schtasks /Change /TN "\Gensyn Agent" /ENABLE`) {
		t.Errorf("%v, said\n%s", err, a)
	}
}

func TestATaskOnWindows(t *testing.T) {
	m, a := windowsMachine(), &asked{}
	o := options("windows", a)
	o.Task = true
	if err := Install(t.Context(), m, o); err != nil {
		t.Fatal(err)
	}
	if n := len(m.ran); n < 2 || m.ran[n-2] != `schtasks.exe /Create /F /TN Gensyn Monitor agent /XML C:\ProgramData\gensyn-agent\task.xml` {
		t.Errorf("ran %q", m.ran)
	}
	file := m.files[`C:\ProgramData\gensyn-agent\task.xml`]
	if !strings.HasPrefix(file, "\xff\xfe<\x00?\x00x\x00") {
		t.Errorf("begins with %q", file[:min(len(file), 8)])
	}
	xml := strings.ReplaceAll(file[2:], "\x00", "")
	for _, want := range []string{"<ExecutionTimeLimit>PT0S<", "<BootTrigger>", "<UserId>S-1-5-18<", "--config &quot;C:\\ProgramData\\"} {
		if !strings.Contains(xml, want) {
			t.Errorf("no %q in\n%s", want, xml)
		}
	}
}

func TestInstallOnMacOS(t *testing.T) {
	m := newMachine(map[string]string{"/etc/gensyn-agent.env": env, "/tmp/gensyn-agent": "the program"})
	if err := Install(t.Context(), m, options("darwin", &asked{})); err != nil {
		t.Fatal(err)
	}
	wantRan(t, m, "launchctl bootout system/org.gensyn-monitor.agent", "launchctl bootstrap system /Library/LaunchDaemons/org.gensyn-monitor.agent.plist")
	for _, want := range []string{"<string>/usr/local/bin/gensyn-agent</string>", "<key>KeepAlive</key>\n\t<true/>"} {
		if !strings.Contains(m.files[plist], want) {
			t.Errorf("no %q in\n%s", want, m.files[plist])
		}
	}
}

func TestWordsOfAUnit(t *testing.T) {
	for path, want := range map[string]string{
		"/a/b": "/a/b", "/a b": `"/a b"`, "/50%": "/50%%", `/a"b$c\d`: `"/a\"b$$c\\d"`,
	} {
		if got := word(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
