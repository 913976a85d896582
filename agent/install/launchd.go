package install

import (
	"context"
	"strings"
)

// launchd installs on macOS.
type launchd struct{}

const (
	label = "org.gensyn-monitor.agent"
	plist = "/Library/LaunchDaemons/" + label + ".plist"
)

func (launchd) paths() paths {
	return paths{
		program: "/usr/local/bin/gensyn-agent", settings: "/etc/gensyn-agent.env",
		state: "/Library/Application Support/gensyn-agent",
	}
}

func (launchd) ready(System) error { return nil }

// old finds nothing: the first agents had none for macOS.
func (launchd) old(context.Context, System) ([]string, []step) { return nil, nil }

func (launchd) oldSettings(System) map[string]string { return nil }

func (launchd) install(p paths, _ map[string]string) []step {
	return []step{
		write("write "+plist, plist, []byte(plistFor(p)), 0o644),
		try("launchctl", "bootout", "system/"+label),
		run("launchctl", "bootstrap", "system", plist),
	}
}

func (launchd) uninstall(context.Context, System, paths) []step {
	return []step{try("launchctl", "bootout", "system/"+label), remove(plist)}
}

func plistFor(p paths) string {
	var args strings.Builder
	for _, a := range []string{p.program, "run", "--config", p.settings, "--log", "/var/log/gensyn-agent.log"} {
		args.WriteString("\t\t<string>" + xmlText(a) + "</string>\n")
	}
	// AbandonProcessGroup: what ON_DOWN_CMD started lives on when the agent is stopped.
	return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Label</key>
	<string>` + label + `</string>
	<key>ProgramArguments</key>
	<array>
` + args.String() + `	</array>
	<key>RunAtLoad</key>
	<true/>
	<key>KeepAlive</key>
	<true/>
	<key>ThrottleInterval</key>
	<integer>15</integer>
	<key>ProcessType</key>
	<string>Background</string>
	<key>AbandonProcessGroup</key>
	<true/>
</dict>
</plist>
`
}

// xmlText escapes a text for XML.
func xmlText(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}
