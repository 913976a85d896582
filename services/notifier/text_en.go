package notifier

import (
	"fmt"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

var english = catalogue{
	language:   English,
	timeLayout: "2006-01-02 15:04:05",

	up:             "✅ Gensyn node UP",
	down:           "❌ Gensyn node DOWN",
	degraded:       "⚠️ Gensyn node DEGRADED",
	lost:           "❌ Gensyn node LOST",
	joined:         "✅ New Gensyn node",
	joinedDown:     "❌ New Gensyn node, DOWN",
	joinedDegraded: "⚠️ New Gensyn node, DEGRADED",
	returned:       "⚠️ Deleted Gensyn node is still sending",
	deleted:        "✅ Gensyn node deleted",
	blind:          "⚠️ The monitor was blind",
	deaf:           "❌ The monitor is deaf",
	hearing:        "✅ The monitor hears again",
	stalled:        "❌ The monitor is stalled",
	doubled:        "⚠️ Several senders use one NODE_ID",
	doubledMaybe:   "⚠️ One NODE_ID, several addresses by turns",
	outdated:       "❌ The evaluator is older than ingest",
	unknown:        "⚠️ Monitor event",

	ip:        "IP",
	reason:    "Reason",
	evidence:  "Evidence",
	was:       "Before",
	by:        "By",
	time:      "Time",
	happened:  "Happened",
	found:     "Found",
	silentFor: "Silent for",
	lastHeard: "Last heard",
	lasted:    "Incident lasted",
	deletedAt: "Deleted at %s, still sending: stop its agent, or leave it to keep the node",
	refused:   "Refused since then",
	more:      "Page",

	blindSpan: "Nothing could be heard for %s, from %s to %s. No node was judged for that time.",
	deafSpan:  "For %s, since %s, no heartbeat came from any %s.",
	deafAdvice: "The way in may be at fault, not the nodes: check network, proxy, certificate and secret. " +
		"Nodes that fall silent now get no message of their own.",
	hearingSpan:   "It was deaf for %s, since %s.",
	hearingAdvice: "Marked lost meanwhile: %s. You will be told of those that stay silent.",
	stalledSpan:   "No message reached the evaluator for %s, since %s.",
	stalledAdvice: "No node is judged until that ends: look at NATS and ingest.",
	outdatedAdvice: "It met a message of a newer version and has stopped there. No node is judged until the evaluator is " +
		"updated. Nothing is lost: it goes on from that message.",

	addresses:     "From",
	doubledAdvice: "Give each a NODE_ID of its own. Until then the state shown jumps between them.",
	doubledMaybeAdvice: "If these are two machines, give one of them another NODE_ID. " +
		"If it is one machine with two ways to the internet, nothing is wrong.",
	clonesAdvice: "They have the same boot id, so they are copies of one machine, and only one of them is heard. " +
		"Give each a NODE_ID of its own.",

	states: map[node.State]string{
		node.Up: "up", node.Degraded: "degraded", node.Down: "down", node.Lost: "lost",
	},
	statuses: map[string]string{
		"400": "malformed", "401": "wrong or missing token", "403": "token of another node",
		"413": "too large", "429": "too many", "503": "NATS was away",
	},
	less:  "less than a second",
	units: [4]func(int) string{manyEnglish("second"), manyEnglish("minute"), manyEnglish("hour"), manyEnglish("day")},
	nodes: func(n int) string {
		return fmt.Sprintf("of the %s %s", numberEnglish(n), pluralEnglish(n, "node", "nodes"))
	},
	marked: func(n int) string { return numberEnglish(n) + " " + pluralEnglish(n, "node", "nodes") },

	listTitle:    "Gensyn: %s",
	summaryTitle: "📊 Gensyn nodes, the last day",
	flapping:     "🔁 Gensyn node FLAPPING",
	flapped:      "🔁 Gensyn node was FLAPPING",
	still: map[node.State]string{
		node.Down: "⏰ Gensyn node still DOWN", node.Lost: "⏰ Gensyn node still LOST", node.Degraded: "⏰ Gensyn node still DEGRADED",
	},
	short: map[node.State]string{
		node.Up: "UP", node.Degraded: "DEGRADED", node.Down: "DOWN", node.Lost: "LOST",
	},
	counts: map[node.State]func(int) string{
		node.Up: countEnglish("UP"), node.Degraded: countEnglish("DEGRADED"), node.Down: countEnglish("DOWN"), node.Lost: countEnglish("LOST"),
	},
	countNew:    countEnglish("new"),
	countBack:   func(n int) string { return numberEnglish(n) + pluralEnglish(n, " was", " were") + " down meanwhile" },
	countAlerts: func(n int) string { return numberEnglish(n) + pluralEnglish(n, " alert", " alerts") },
	countOther:  func(n int) string { return numberEnglish(n) + pluralEnglish(n, " other alert", " other alerts") },

	upAfter:        "UP after %s",
	wasDown:        "UP again, was down for %s",
	again:          "%s again",
	stillSince:     "%s for %s",
	silentLine:     "silent for %s",
	newLine:        "new, %s",
	returnedLine:   "deleted, still sending",
	doubledLine:    "several senders use its NODE_ID",
	wasSilenced:    "It was silenced until now.",
	flappingLine:   "flapping: %s from %s to %s, now %s",
	flappedLine:    "was flapping: %s from %s to %s, now %s",
	flappingAdvice: "Its next changes are summed up once it has been steady for 30 minutes, else every 6 hours.",
	changes:        func(n int) string { return numberEnglish(n) + " " + pluralEnglish(n, "change", "changes") },
	changesLabel:   "Changes",
	changesField:   "%s, from %s to %s",
	changesSpan:    "%s from %s to %s",
	flapsNow:       "flapping, now %s",
	decimal:        ".",
	now:            "Now",
	since:          "Since",
	sinceSpan:      "%s (%s)",
	ownNetwork:     "The monitor's own network may be at fault: %s of %s nodes fell silent within 5 minutes.",
	others:         "for other reasons",
	record:         "All of them are in the record.",
	first:          "First",
	remind:         "⏰ Gensyn: still %s",
	uptime:         "Uptime",
	worst:          "Worst",
	allDay:         "Every node was up all day.",
	total:          "Nodes",
	number:         numberEnglish,
}

func manyEnglish(unit string) func(int) string {
	return func(n int) string { return fmt.Sprintf("%d %s", n, pluralEnglish(n, unit, unit+"s")) }
}

func countEnglish(what string) func(int) string {
	return func(n int) string { return numberEnglish(n) + " " + what }
}

func numberEnglish(n int) string { return grouped(n, ",") }
