package bot

import "github.com/gensyn-monitor/gensyn-monitor/internal/node"

// words are what is said in one language. Those with a verb are for fmt; all of it is text, not HTML, unless it says so.
type words struct {
	help     string // HTML
	states   map[node.State]string
	marks    map[node.State]string
	nothing  string // is down
	counts   string // all, up, degraded, down, lost
	since    string // moment, duration
	more     string // how many more
	page     string
	stale    string // duration
	silences string // how many
	tooLate  string // duration

	ip, reason, evidence, labels, heard, acknowledgedBy, silencedUntil string

	whichNode, whichSilence, badSpan string
	noNode, noLabel                  string // what was asked for
	several                          string // what was asked for
	silenced                         string // what, until when, by whom
	silencedAll                      string // until when, by whom
	labelEmpty                       string
	unsilenced, notSilenced          string // what
	everything                       string // "all nodes"
	silenceLine                      string // what, until when, by whom

	acknowledge, hush              string // buttons
	hasAcknowledged, hasHushed     string // buttons: by whom; until when, by whom
	acknowledged, alreadyYours     string // shown to who pressed: by whom
	hushed, alreadyHushed, itsOver string // shown to who pressed: until when
}

var catalogue = map[string]*words{"en": &english, "ru": &russian}

var english = words{
	help: "<b>Gensyn Monitor</b>\n" +
		"/status: counts, and what is down\n" +
		"/down: all nodes that are down or lost\n" +
		"/node <code>ID</code>: one node\n" +
		"/silence <code>ID 2h</code>: say nothing of a node for 2 hours; also <code>dc=home 1d</code> for a label, <code>all 30m</code> for all nodes\n" +
		"/unsilence <code>ID</code>: end a silence; also <code>dc=home</code> or <code>all</code>\n" +
		"What is silenced is recorded all the same.",
	states:   map[node.State]string{node.Up: "UP", node.Degraded: "DEGRADED", node.Down: "DOWN", node.Lost: "LOST"},
	marks:    map[node.State]string{node.Up: "✅", node.Degraded: "⚠️", node.Down: "❌", node.Lost: "❌"},
	nothing:  "No node is down.",
	counts:   "Nodes: %d. UP %d, DEGRADED %d, DOWN %d, LOST %d",
	since:    "since %s (%s)",
	more:     "… and %d more",
	page:     "Page",
	stale:    "⚠️ The monitor itself is behind: its last look was %s ago.",
	silences: "🔇 Silences: %d",
	tooLate:  "This was sent %s ago, while I was away, so nothing was done. Send it again if you still want it.",

	ip: "IP", reason: "Reason", evidence: "Evidence", labels: "Labels", heard: "Last heard",
	acknowledgedBy: "Acknowledged by", silencedUntil: "Silenced until",

	whichNode:    "Which node? For example: /node rig-7",
	whichSilence: "What, and for how long? For example: /silence rig-7 2h, /silence dc=home 1d, /silence all 30m",
	badSpan:      "For how long? %s is not a time: write it like 30m, 2h, 1d or 1d12h, from a minute to 31 days.",
	noNode:       "There is no node %s.",
	noLabel:      "A label is written like dc=home, and all stands for all nodes.",
	several:      "Several nodes match %s:",
	silenced:     "🔇 %s is silenced until %s, by %s.",
	silencedAll:  "🔇 All nodes are silenced until %s, by %s. What the monitor says of itself is still told.",
	labelEmpty:   "No node has this label now.",
	unsilenced:   "🔔 %s: the silence is over.",
	notSilenced:  "%s is not silenced.",
	everything:   "All nodes",
	silenceLine:  "%s until %s, by %s",

	acknowledge: "Acknowledge", hush: "Silence 1 h",
	hasAcknowledged: "✓ Acknowledged by %s", hasHushed: "🔇 Until %s, %s",
	acknowledged: "Acknowledged: no more reminders of this incident", alreadyYours: "Already acknowledged by %s",
	hushed: "Silenced until %s", alreadyHushed: "Already silenced until %s", itsOver: "This incident is over",
}

var russian = words{
	help: "<b>Gensyn Monitor</b>\n" +
		"/status: сколько узлов и что не работает\n" +
		"/down: все узлы, которые не работают или без связи\n" +
		"/node <code>ID</code>: один узел\n" +
		"/silence <code>ID 2h</code>: отключить сообщения об узле на 2 часа; ещё <code>dc=home 1d</code> для метки, <code>all 30m</code> для всех узлов\n" +
		"/unsilence <code>ID</code>: снова включить; ещё <code>dc=home</code> или <code>all</code>\n" +
		"Что случилось за это время, всё равно записывается.",
	states:   map[node.State]string{node.Up: "РАБОТАЕТ", node.Degraded: "СБОИТ", node.Down: "НЕ РАБОТАЕТ", node.Lost: "НЕТ СВЯЗИ"},
	marks:    map[node.State]string{node.Up: "✅", node.Degraded: "⚠️", node.Down: "❌", node.Lost: "❌"},
	nothing:  "Неработающих узлов нет.",
	counts:   "Узлов: %d. Работает %d, сбоит %d, не работает %d, нет связи %d",
	since:    "с %s (уже %s)",
	more:     "… и ещё %d",
	page:     "Страница",
	stale:    "⚠️ Отстаёт сам монитор: последний раз он смотрел %s назад.",
	silences: "🔇 Сообщения отключены: %d",
	tooLate:  "Это отправлено %s назад, пока меня не было, поэтому ничего не сделано. Отправьте ещё раз, если это всё ещё нужно.",

	ip: "IP", reason: "Причина", evidence: "Подробности", labels: "Метки", heard: "Последний сигнал",
	acknowledgedBy: "Занимается", silencedUntil: "Сообщения отключены до",

	whichNode:    "Какой узел? Например: /node rig-7",
	whichSilence: "О чём молчать и как долго? Например: /silence rig-7 2h, /silence dc=home 1d, /silence all 30m",
	badSpan:      "На сколько? %s — не время: напишите, например, 30m, 2h, 1d или 1d12h, от минуты до 31 дня.",
	noNode:       "Узла %s нет.",
	noLabel:      "Метка пишется как dc=home, а all значит все узлы.",
	several:      "Под %s подходит несколько узлов:",
	silenced:     "🔇 %s: сообщения отключены до %s, %s.",
	silencedAll:  "🔇 Сообщения обо всех узлах отключены до %s, %s. О самом мониторе сообщается по-прежнему.",
	labelEmpty:   "Сейчас такой метки нет ни у одного узла.",
	unsilenced:   "🔔 %s: сообщения снова включены.",
	notSilenced:  "%s: сообщения и так включены.",
	everything:   "Все узлы",
	silenceLine:  "%s до %s, %s",

	acknowledge: "Займусь", hush: "Молчать 1 ч",
	hasAcknowledged: "✓ Занимается %s", hasHushed: "🔇 До %s, %s",
	acknowledged: "Принято: напоминаний об этом инциденте больше не будет", alreadyYours: "Этим уже занимается %s",
	hushed: "Сообщения отключены до %s", alreadyHushed: "Сообщения уже отключены до %s", itsOver: "Этот инцидент уже закончился",
}
