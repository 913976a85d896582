package web

import (
	"cmp"
	"fmt"
	"net/http"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
)

// statusWords are the texts of badges and of the status page in one language.
type statusWords struct {
	Nodes, None, Unknown string
	States               map[node.State]string
	Title, NotKnown      string
	Open, Lasts, AsOf    string
	Counts               string // name of the list of counts

	count    func(t tally) string
	headline func(t tally) string
	More     func(n int) string
}

func statusWordsFor(r *http.Request) *statusWords {
	if language(r).Lang == russian.Lang {
		return &statusRussian
	}
	return &statusEnglish
}

// state is a state in words. One that only a newer evaluator knows is its own word.
func (w *statusWords) state(s node.State) string { return cmp.Or(w.States[s], string(s)) }

var statusEnglish = statusWords{
	Nodes: "nodes", None: "none yet", Unknown: "unknown",
	States:   map[node.State]string{node.Up: "up", node.Degraded: "degraded", node.Down: "down", node.Lost: "lost"},
	Title:    "Status",
	NotKnown: "How the nodes are is not known right now",
	Open:     "Incidents now", Lasts: "for", AsOf: "As of", Counts: "Nodes by state",
	count: func(t tally) string { return fmt.Sprintf("%d of %d up", t.serving, t.all) },
	headline: func(t tally) string {
		switch down := t.all - t.serving; {
		case t.all == 0:
			return "There are no nodes yet"
		case down > 0 && down == t.all:
			return "No node is up"
		case down > 0:
			return fmt.Sprintf("%d of %d nodes %s not up", down, t.all, forms("is", "are")(down))
		case t.counts[node.Degraded] > 0:
			return fmt.Sprintf("All nodes are up, %d degraded", t.counts[node.Degraded])
		}
		return "All nodes are up"
	},
	More: func(n int) string { return fmt.Sprintf("and %d more", n) },
}

var statusRussian = statusWords{
	Nodes: "узлы", None: "пока нет", Unknown: "неизвестно",
	States:   map[node.State]string{node.Up: "работает", node.Degraded: "сбоит", node.Down: "не работает", node.Lost: "нет связи"},
	Title:    "Состояние",
	NotKnown: "Сейчас неизвестно, как работают узлы",
	Open:     "Инциденты сейчас", Lasts: "уже", AsOf: "По состоянию на", Counts: "Узлы по состояниям",
	count: func(t tally) string {
		return fmt.Sprintf("%s %d из %d", formsRu("работает", "работают", "работают")(t.serving), t.serving, t.all)
	},
	headline: func(t tally) string {
		switch down := t.all - t.serving; {
		case t.all == 0:
			return "Узлов пока нет"
		case down > 0 && down == t.all:
			return "Ни один узел не работает"
		case down > 0:
			return fmt.Sprintf("Не %s %d из %d %s", formsRu("работает", "работают", "работают")(down), down, t.all, formsRu("узла", "узлов", "узлов")(t.all))
		case t.counts[node.Degraded] > 0:
			n := t.counts[node.Degraded]
			return fmt.Sprintf("Все узлы работают, %d %s", n, formsRu("сбоит", "сбоят", "сбоят")(n))
		}
		return "Все узлы работают"
	},
	More: func(n int) string { return fmt.Sprintf("и ещё %d", n) },
}
