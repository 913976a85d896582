package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/gensyn-monitor/gensyn-monitor/agent"
)

// command is one of those that the program knows.
type command struct {
	name     string
	argument string // "" for none
	required bool   // the argument
	flags    string // that may stand with it
	brief    string // one line
	text     string // more
}

var commands = []command{
	{
		name: "run", flags: "config log service", brief: "report every INTERVAL_SEC until told to stop; the default",
		text: `  --config FILE  read settings from FILE
  --log FILE     write the log to FILE, which is begun anew at 1 MiB, rather than to standard error
  --service      Windows: obey the service manager; for the entry that install makes

Exit status: 0 when told to stop, 2 when a setting is not allowed.`,
	},
	{
		name: "once", flags: "config log", brief: "report one time, for timers",
		text: `It tries again for less than INTERVAL_SEC. ON_DOWN_CMD does not run.

  --config FILE  read settings from FILE
  --log FILE     write the log to FILE rather than to standard error

Exit status: 0 when the monitor accepted the report, 1 when not, 2 when a setting is not allowed.`,
	},
	{
		name: "check", flags: "config", brief: "look at everything the agent depends on, and say what to mend",
		text: `It asks each SERVER_URL whether it is a monitor and takes the token, compares the clocks, looks at every probe and says
as what each node would be reported. It sends no heartbeat. As root it sees more.

  --config FILE  read settings from FILE

Exit status: 0 when all is well, 1 when something failed, 2 when a setting is not allowed.`,
	},
	{
		name: "install", flags: "config yes dry-run task", brief: "make the agent a service of this machine",
		text: `Linux: a systemd service. macOS: a launchd daemon. Windows: a service. The settings file is kept, or made of the
variables of the environment. An earlier agent is replaced after asking. Done again, it brings all up to date; that is
also due after ON_DOWN_CMD was set.

  --config FILE  where the settings lie
  --yes          do not ask
  --dry-run      say what would be done, and do nothing
  --task         Windows: an entry of the Task Scheduler rather than a service

Exit status: 0 when done, 1 when not, 2 when a setting is not allowed.`,
	},
	{
		name: "uninstall", flags: "config dry-run purge", brief: "undo install",
		text: `  --config FILE  where the settings lie
  --dry-run      say what would be done, and do nothing
  --purge        remove settings and state, too

Exit status: 0 when done, 1 when not.`,
	},
	{
		name: "forget", argument: "NAME", required: true, flags: "config", brief: "report no longer a node that is gone from this machine",
		text: `Of several nodes on one machine, one that was found once and is gone is reported DOWN until it is forgotten.
"gensyn-agent check" lists the nodes. Restart the service afterwards; on the monitor delete the node, or it will be LOST.

  --config FILE  read settings from FILE

Exit status: 0 when it is forgotten, 1 when it is not known, 2 when a setting is not allowed.`,
	},
	{
		name: "healthcheck", flags: "config", brief: "tell whether the monitor accepts the reports of the agent that runs here",
		text: `For containers. It asks nobody: the agent that runs with these settings notes when a report was accepted.

  --config FILE  read settings from FILE

Exit status: 0 when one was accepted within three intervals and a minute, 1 when not, 2 when a setting is not allowed.`,
	},
	{name: "version", brief: "print the version"},
	{name: "help", argument: "COMMAND", brief: "more about a command"},
}

func commandNamed(name string) *command {
	for i := range commands {
		if commands[i].name == name {
			return &commands[i]
		}
	}
	return nil
}

// help says what there is, or more about one command.
func (p program) help(name string) {
	if c := commandNamed(name); c != nil && c.text != "" {
		argument := ""
		if c.argument != "" {
			argument = " " + c.argument
		}
		fmt.Fprintf(p.stdout, "gensyn-agent %s%s: %s.\n\n%s\n", c.name, argument, c.brief, c.text)
		return
	}
	fmt.Fprint(p.stdout, `gensyn-agent: watches the nodes of this machine and reports them to a Gensyn Monitor.

Usage: gensyn-agent [COMMAND] [--config FILE]

`)
	tabs := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
	for _, c := range commands {
		fmt.Fprintf(tabs, "  %s\t%s\n", c.name, c.brief)
	}
	tabs.Flush()
	fmt.Fprintf(p.stdout, `
gensyn-agent COMMAND --help says more. Settings come from the environment and from
%s, which wins (--config or AGENT_ENV_FILE names another file):

`, defaultFile(p.env))
	tabs = tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprint(tabs, "  NAME\tDEFAULT\tMEANING\n")
	for _, v := range agent.Variables() {
		value := v.Default
		if v.Name == "SERVER_URL" || v.Name == "SHARED_SECRET" {
			value = "(required)"
		}
		fmt.Fprintf(tabs, "  %s\t%s\t%s\n", v.Name, value, v.Meaning)
	}
	tabs.Flush()
}
