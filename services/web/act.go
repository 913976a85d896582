package web

import (
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// outcomeDone is what became of an action that was carried out.
const outcomeDone = "done"

// action is a line of the audit log.
func (v Viewer) action(kind, nodeID, text string) nodestore.Action {
	a := nodestore.Action{By: v.Name, Via: v.Via, Kind: kind, NodeID: nodeID, Detail: text}
	if v.Address.IsValid() {
		a.Address = v.Address.String()
	}
	return a
}

func done(a nodestore.Action) nodestore.Action {
	a.Outcome = outcomeDone
	return a
}
