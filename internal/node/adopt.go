package node

// adopt creates a node that another monitor watched before, without telling anybody: people know it, and the state it
// is in. It has a full threshold to report. What is known here wins, also that the node was deleted, so that the same
// import may be folded again.
func (f *Fold) adopt(i *Imported, by string) {
	_, buried := f.deleted[i.NodeID]
	if i.NodeID == "" || buried || f.nodes.find(i.NodeID) != nil || f.nodes.size >= f.clock.Settings.MaxNodes {
		return
	}
	at := f.clock.Position.Stamp
	heard := i.Heard
	if heard <= 0 || heard > at {
		heard = at
	}
	n := Node{ID: i.NodeID, IP: i.IP, Meta: i.Meta, State: Up, Since: at, Joined: heard, Heard: heard, HeardW: f.clock.W}
	switch i.State {
	case Degraded, Down:
		n.State, n.Incident = i.State, at
		if n.Reason = metaReason(i.Meta); n.Reason == "" {
			n.Reason = ReasonReported
		}
	case Lost:
		// When it was found to be lost is not known here: it is what it is since it was heard last.
		n.State, n.Reason, n.Since, n.Incident = Lost, ReasonSilent, heard, heard
	}
	n.Told = n.State
	r := f.add(&n)
	f.arm(r)
	e := f.event(r, Joined)
	e.To, e.By, e.Quiet = n.State, by, true
	e.Lasted = at.Since(n.Incident) // an incident that began before it joined is in the record, too
	f.emit(e)
}
