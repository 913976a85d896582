package web

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

var english = words{
	Lang: "en", OtherLang: "ru", OtherName: "Русский",

	NodeID: "Node ID", IP: "IP", Status: "Status", LastHeartbeat: "Last heartbeat", Age: "Age", Meta: "Meta",
	Uptime30: "30 days", Round: "Round", GPU: "GPU",
	Nodes: "Nodes", All: "All", Skip: "Skip to the content", Search: "Search", SearchNodes: "Search nodes",
	Incidents: "Incidents", Monitor: "Monitor", Sections: "Sections",
	Sort: "Order", First: "First page", Previous: "Previous page", Next: "Next page", Pages: "Pages",
	Gone: "There is nothing here", GoneHow: "The node was deleted, or the address is wrong.", Back: "To all nodes",

	Orders: []string{"worst first", "by ID", "changed last", "longest silent"},

	States: map[node.State]string{node.Up: "UP", node.Degraded: "DEGRADED", node.Down: "DOWN", node.Lost: "LOST"},

	Live: "Live", Waiting: "Connecting…",
	NoScript: "Without JavaScript this page is loaded anew every 30 seconds.",
	Lost:     "No connection to the monitor. What you see is {age} old. Trying again…",
	Broken:   "The monitor cannot read its database. What you see is {age} old. Trying again…",

	Empty:         "No nodes yet",
	EmptyHow:      "Start an agent on each machine you want to watch. The node appears here with its first heartbeat.",
	EmptyPrinted:  "The monitor printed this line with its secret filled in when it started.",
	EmptyHand:     "Or send one heartbeat by hand:",
	EmptyOld:      "Agents of the first Gensyn Monitor work unchanged: set their SERVER_URL and SHARED_SECRET.",
	Secret:        "<secret>",
	IngestAddress: "https://<address of ingest>",
	Senders:       "Several senders use this id",
	SendersMaybe:  "Several addresses by turns: two machines, or two ways out of one",
	Clones:        "Copies of one machine use this id, only one is heard",
	NoMatch:       "No node matches.", ShowAll: "Show all nodes",
	NoDatabase: "The database does not answer",
	WhyNot:     "So there is nothing to show now. Heartbeats are still accepted. This page comes back by itself.",

	Never:      "No evaluator has run yet: nobody judges the nodes. Start the evaluator.",
	NotSetUp:   "Telegram is not set up: nobody is told when a node stops. Set TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID.",
	NoNotifier: "No notifier is running: nobody is told when a node stops.",
	API:        "The same as JSON",

	Units: unitsEn,
	Long: [4]func(int) string{
		forms("second", "seconds"), forms("minute", "minutes"), forms("hour", "hours"), forms("day", "days"),
	},

	Node: englishNode, Incident: englishIncident, Mon: englishMonitor, Whys: englishWhys,

	summary: func(counts map[node.State]int) string {
		var parts []string
		for _, s := range states {
			if counts[s] > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", counts[s], s))
			}
		}
		if len(parts) == 0 {
			return "No nodes yet"
		}
		return "Nodes: " + strings.Join(parts, ", ")
	},
	number: func(n int64) string { return grouped(n, ",") },
	percent: func(p float64, digits int) string {
		return strconv.FormatFloat(p, 'f', digits, 64) + "%"
	},
	stale: func(age string) string {
		return "The data is " + age + " old: the evaluator has stopped, or cannot write."
	},
	behind: func(age string) string {
		return "The newest message is " + age + " old: ingest or NATS has stopped, or the evaluator is catching up."
	},
	deaf: func(since, refused string) string {
		text := "Nothing is heard from any node since " + since +
			": the network, the proxy, the certificate or the secret in front of the monitor may be at fault."
		if refused != "" {
			text += " Refused since then: " + refused + "."
		}
		return text
	},
	failing: func(chat, why string) string { return "Alerts do not reach chat " + chat + ": " + why },
	waiting: func(n int, age string) string {
		return fmt.Sprintf("%d %s waiting to be told, the oldest for %s.", n, forms("alert is", "alerts are")(n), age)
	},
	overflow: func(n int64) string {
		return fmt.Sprintf("%d %s not stored, because there are MAX_NODES nodes already.", n,
			forms("heartbeat of an unknown node was", "heartbeats of unknown nodes were")(int(n)))
	},
	event:        eventEn,
	ago:          func(d time.Duration) string { return unitsEn.short(d) + " ago" },
	since:        func(span string) string { return "in the last " + span },
	foundLater:   func(late string) string { return "found " + late + " later" },
	acknowledged: func(by, at string) string { return "Taken care of by " + by + " since " + at },
	served:       func(share string) string { return "served " + share + " of the observed time" },
	chartLabel: func(name, last, least, most string) string {
		return name + ": " + last + ", from " + least + " to " + most
	},
	perSecond: func(rate float64) string { return strconv.FormatFloat(rate, 'f', 1, 64) + " a second" },
	epoch:     func(n int64) string { return "stream epoch " + strconv.FormatInt(n, 10) },
	ofMost:    func(most int64) string { return "of at most " + grouped(most, ",") },
}
