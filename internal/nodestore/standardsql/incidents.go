package standardsql

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

const (
	// ends is an event e that ends an incident, as the index events_ending has it.
	ends = `((e.kind = 'changed' AND e.to_state = 'up') OR (e.kind = 'deleted' AND e.from_state <> 'up'))`
	// beginning is the id of the event that began the incident which lasted just before the place ({at}) in the stream.
	beginning = `(SELECT b.id FROM events b WHERE b.node_id = i.node_id AND {before}
		AND b.kind IN ('joined', 'changed') AND b.from_state IN ('', 'up') AND b.to_state <> 'up'
		ORDER BY b.partition DESC, b.epoch DESC, b.seq DESC, b.ordinal DESC LIMIT 1)`
	// worst is the id of the event of the incident that made it the worst it was.
	worst = `(SELECT x.id FROM events x WHERE x.node_id = i.node_id AND {before}
		AND (x.partition, x.epoch, x.seq, x.ordinal) >= (b.partition, b.epoch, b.seq, b.ordinal)
		AND x.kind IN ('joined', 'changed')
		ORDER BY CASE WHEN x.to_state = 'degraded' THEN 2 WHEN x.to_state = 'lost' AND x.reason = 'deaf' THEN 1 ELSE 0 END,
			x.partition, x.epoch, x.seq, x.ordinal LIMIT 1)`
)

// selectIncidents reads what became of rows i (node_id, name, began, ended, state, reason, evidence, by_whom, kind, and
// the place in the stream before which it is looked at). What no event tells any more is said as in the row.
func selectIncidents(rows, before, order string) string {
	place := func(text, table string) string {
		return strings.ReplaceAll(text, "{before}", strings.ReplaceAll(before, "{t}", table))
	}
	return `WITH i AS (` + rows + `),
		begun AS (SELECT i.*, ` + place(beginning, "b") + ` AS first FROM i),
		judged AS (SELECT i.*, COALESCE(b.at, 0) AS first_at, ` + place(worst, "x") + ` AS worst
			FROM begun i LEFT JOIN events b ON b.id = i.first)
		SELECT i.node_id, i.name, CASE i.began WHEN 0 THEN i.first_at ELSE i.began END, i.ended, i.kind, i.by_whom,
			COALESCE(w.to_state, i.state), COALESCE(w.reason, i.reason), COALESCE(w.evidence, i.evidence),
			COALESCE(a.by_whom, ''), COALESCE(a.at, 0), i.id
		FROM judged i LEFT JOIN events w ON w.id = i.worst
		LEFT JOIN acknowledgements a ON a.node_id = i.node_id
			AND a.incident = CASE i.began WHEN 0 THEN i.first_at ELSE i.began END
		ORDER BY ` + order
}

// Incidents implements nodestore.History.
func (s Store) Incidents(ctx context.Context, q nodestore.IncidentQuery) (out []nodestore.Incident, err error) {
	at, err := parseIncidentKey(q.After)
	if err != nil {
		return nil, wrap("read incidents", err)
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	err = s.read(ctx, "read incidents", func(tx session) error {
		if at.event == nil {
			if out, err = tx.openIncidents(ctx, q, at); err != nil {
				return err
			}
			q.Limit -= len(out)
		}
		if q.OpenOnly || q.Limit <= 0 {
			return nil
		}
		over, err := tx.pastIncidents(ctx, q, at)
		out = append(out, over...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s session) openIncidents(ctx context.Context, q nodestore.IncidentQuery, at incidentKey) ([]nodestore.Incident, error) {
	sel := selection{query: `SELECT n.id AS node_id, n.name, n.incident AS began, 0 AS ended, n.state, n.reason, n.evidence,
		'' AS by_whom, '' AS kind, n.id FROM nodes n WHERE n.incident <> 0`}
	if q.NodeID != "" {
		sel.where("n.id = " + sel.arg(q.NodeID))
	}
	if at.open {
		sel.where("(n.incident, n.id) < (" + sel.arg(at.incident) + ", " + sel.arg(at.id) + ")")
	}
	sel.query += " ORDER BY n.incident DESC, n.id DESC LIMIT " + strconv.Itoa(q.Limit)
	return s.incidents(ctx, selectIncidents(sel.query, "TRUE", "i.began DESC, i.node_id DESC"), sel.args)
}

func (s session) pastIncidents(ctx context.Context, q nodestore.IncidentQuery, at incidentKey) ([]nodestore.Incident, error) {
	sel := selection{query: `SELECT e.node_id, e.name, e.since AS began, e.at AS ended, e.from_state AS state, '' AS reason,
		'' AS evidence, e.by_whom, e.kind, e.id, e.partition, e.epoch, e.seq, e.ordinal FROM events e WHERE ` + ends}
	if q.NodeID != "" {
		sel.where("e.node_id = " + sel.arg(q.NodeID))
	}
	if id := at.event; id != nil {
		sel.where("(e.partition, e.epoch, e.seq, e.ordinal) < (" + sel.arg(id.Partition) + ", " + sel.arg(id.Epoch) + ", " +
			sel.arg(int64(id.Seq)) + ", " + sel.arg(id.Ordinal) + ")")
	}
	sel.query += " ORDER BY e.partition DESC, e.epoch DESC, e.seq DESC, e.ordinal DESC LIMIT " + strconv.Itoa(q.Limit)
	return s.incidents(ctx, selectIncidents(sel.query,
		"({t}.partition, {t}.epoch, {t}.seq, {t}.ordinal) < (i.partition, i.epoch, i.seq, i.ordinal)",
		"i.partition DESC, i.epoch DESC, i.seq DESC, i.ordinal DESC"), sel.args)
}

func (s session) incidents(ctx context.Context, query string, args []any) (out []nodestore.Incident, err error) {
	err = s.each(ctx, query, args, func(scan func(...any) error) (bool, error) {
		var i nodestore.Incident
		var kind node.Kind
		var acknowledged int64
		var by, id string
		err := scan(&i.NodeID, &i.Name, &i.Began, &i.Ended, &kind, &i.By, &i.State, &i.Reason, &i.Evidence,
			&by, &acknowledged, &id)
		i.Deleted = kind == node.Deleted
		if i.Key = "over," + id; kind == "" {
			i.Key = fmt.Sprintf("open,%d,%s", i.Began, id)
		}
		if acknowledged != 0 {
			i.Acknowledgement = nodestore.Acknowledgement{NodeID: i.NodeID, Incident: i.Began, By: by, At: instant(acknowledged)}
		}
		out = append(out, i)
		return true, err
	})
	return out, err
}

// incidentKey is a Key of an incident. The zero value is before all.
type incidentKey struct {
	open     bool
	incident int64
	id       string
	event    *node.EventID // that ended it
}

func parseIncidentKey(key string) (k incidentKey, err error) {
	if key == "" {
		return k, nil
	}
	if text, ok := strings.CutPrefix(key, "over,"); ok {
		id, err := node.ParseEventID(text)
		if err != nil {
			return k, nodestore.ErrAfter
		}
		return incidentKey{event: &id}, nil
	}
	text, ok := strings.CutPrefix(key, "open,")
	began, id, found := strings.Cut(text, ",")
	k = incidentKey{open: true, id: id}
	if k.incident, err = strconv.ParseInt(began, 10, 64); err != nil || !ok || !found {
		return k, nodestore.ErrAfter
	}
	return k, nil
}
