package web

import (
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

var englishNode = nodeWords{
	State: "State", Uptime: "Uptime", Charts: "What its agent sends", Incidents: "Incidents", Timeline: "Timeline",
	Report: "Last report as JSON", Facts: "About this node",

	Windows: []string{"24 hours", "7 days", "30 days", "90 days"},
	Use:     "in use", Memory: "memory", GPUTemperature: "GPU temperature", Hottest: "hottest", Machine: "Machine",
	Processor: "processors", Disk: "Disk", InUse: "in use",
	NoSamples:   "Nothing was recorded in this time: the agent sends no metrics, or samples are switched off.",
	NoIncidents: "No incidents on record.", NoEvents: "Nothing has happened yet.", Older: "Older incidents are not shown.",
	Threshold: "Lost after silence of", Own: "its own", Default: "default", Interval: "Reports every", Joined: "First heard", Agent: "Agent",
	Workload: "Workload", Phase: "Phase", Peer: "Peer", Model: "Model", Supervisor: "Runs under", Running: "Has run for", Restarts: "Restarts",
	Annotation: "The agent tells later", AgentClock: "by the agent's clock", Command: "The agent ran the command for a node that is down",
	Log: "log", ToBeTold: "to be told", Told: "told", NotTold: "not told",
	Last:   "last",
	Legend: "Green served, yellow degraded, red down, light red lost, grey not observed.",
	Absent: "no node yet", NotObserved: "not observed",
}

var englishIncident = incidentWords{
	OpenOnly: "Open", Began: "Began", Ended: "Ended", Lasted: "Lasted", Lasts: "open", Worst: "Worst state", Node: "Node",
	None: "No incidents.", CSV: "Download as CSV",
}

var englishMonitor = monitorWords{
	How: "How the monitor itself is doing.", Fine: "FINE", Look: "LOOK", Broken: "BROKEN", NotActive: "NO NOTIFIER", Late: "LATE", None: "none", Nobody: "nobody", Never: "never",
	LastAccepted: "Last heartbeat", Rate: "Heartbeats", LastMinute: "in the last full minute", Accepted: "Accepted", Refused: "Refused by status",
	Process: "Process", Overflow: "Beyond MAX_NODES",
	Holder: "Lease holder", Term: "Term", Committed: "Last commit", Lag: "Evaluation lag", LagHow: "age of the newest message", Position: "Position",
	Waiting: "Alerts waiting", LastTold: "Last told", Version: "Version", Streams: "Open pages", Skew: "Clock differs from NATS by",
	Silences:  "Silences",
	Processes: "Processes", Service: "Service", Runs: "Runs for", Heard: "Last heard", Other: "not the version of this page",
	Chats: "Who is told", Chat: "Chat", Oldest: "Oldest waits", Error: "What is wrong",
	Spans: "Blind and deaf spans", SpansHow: "In these the monitor could not have heard the nodes. They do not count in uptime.",
	NoSpans: "None in the last 90 days.", Blind: "blind", Deaf: "deaf", Lasts: "lasts", Kind: "Kind", From: "From", To: "To",
}

var englishWhys = map[string]string{
	nodestore.Silenced: "silenced", nodestore.Flapping: "flapping", nodestore.Flapped: "summed up after flapping",
	nodestore.GivenUp: "its chat was away for too long",
}

func eventEn(e *node.Event) string {
	by := ""
	if e.By != "" {
		by = " by " + e.By
	}
	switch e.Kind {
	case node.Joined:
		if e.Since != 0 {
			return "Deleted before, still sending"
		}
		return "First heard"
	case node.Deleted:
		return "Deleted" + by
	case node.Doubled:
		return "Several senders use this id"
	case node.Changed:
		if e.To == node.Up && e.Lasted > 0 {
			return "Up again after " + unitsEn.short(e.Lasted)
		}
		return ""
	default:
		return string(e.Kind)
	}
}

var unitsEn = units{"s", "min", "h", "d"}
