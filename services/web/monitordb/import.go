package monitordb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// Store is what an import needs to know of what is here already.
type Store interface {
	Nodes(ctx context.Context, q nodestore.NodeQuery) ([]node.Node, error)
	Events(ctx context.Context, nodeID string, limit int) ([]nodestore.StoredEvent, error)
	Status(ctx context.Context, partition int) (nodestore.Status, error)
}

// Stream is where commands are put. It returns the message's sequence.
type Stream interface {
	Publish(ctx context.Context, subject string, data []byte) (uint64, error)
}

// Target is the monitor that nodes are imported into.
type Target struct {
	Store     Store
	Stream    Stream
	Partition int
}

const (
	publishLimit = 5 * time.Second
	// Patience is how long the evaluator may take for the next step of an import, before it is not waited for.
	Patience = 30 * time.Second
	look     = 100 * time.Millisecond
	showMost = 20 // of rows that are not imported
	by       = "import"
)

// Import puts the nodes of d into the monitor, as commands of its stream, and waits until they are carried out. Nobody is
// told of them. What is known here, or was deleted here, stays as it is; so an import may be repeated. With dry it only
// says what it would do. What happened is written to out. The error says that not everything was imported.
func Import(ctx context.Context, t Target, d Database, dry bool, out io.Writer) error {
	i := importer{Target: t, out: out}
	if err := i.plan(ctx, d); err != nil {
		return err
	}
	if dry {
		i.say("would import %s; nothing was changed", count(len(i.nodes), "node"))
		return nil
	}
	if err := i.publish(ctx); err != nil {
		return err
	}
	left, err := i.check(ctx)
	if err != nil {
		return err
	}
	if failed := left + len(d.Skipped); failed > 0 {
		return fmt.Errorf("%d of %d nodes were not imported, as said above", failed, len(d.Nodes)+len(d.Skipped))
	}
	return nil
}

type importer struct {
	Target
	out   io.Writer
	nodes []contract.Imported // that are not known here
}

// say writes a line for people. That it cannot be written stops no import.
func (i *importer) say(format string, args ...any) { _, _ = fmt.Fprintf(i.out, format+"\n", args...) }

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// plan finds out what is to be done, and says it.
func (i *importer) plan(ctx context.Context, d Database) error {
	here, err := i.known(ctx)
	if err != nil {
		return err
	}
	states := make(map[string]int)
	for _, n := range d.Nodes {
		states[n.State]++
		if !here[n.NodeID] {
			i.nodes = append(i.nodes, n)
		}
	}
	i.say("%s: %d up, %d down, %d lost", count(len(d.Nodes)+len(d.Skipped), "node"), states["up"], states["down"], states["lost"])
	if n := len(d.Nodes) - len(i.nodes); n > 0 {
		i.say("%d known here already, left as they are", n)
	}
	for n, s := range d.Skipped {
		if n == showMost {
			i.say("%d more that cannot be imported", len(d.Skipped)-n)
			break
		}
		i.say("cannot be imported: %q: %s", s.NodeID, s.Why)
	}
	return nil
}

func (i *importer) known(ctx context.Context) (map[string]bool, error) {
	nodes, err := i.Store.Nodes(ctx, nodestore.NodeQuery{})
	if err != nil {
		return nil, fmt.Errorf("read the nodes that are here: %w", err)
	}
	out := make(map[string]bool, len(nodes))
	for _, n := range nodes {
		out[n.ID] = true
	}
	return out, nil
}

// publish puts the commands into the stream and waits for the last one.
func (i *importer) publish(ctx context.Context) error {
	var last uint64
	done := 0
	for part := range parts(i.nodes) {
		data, err := json.Marshal(contract.Command{V: contract.Version, Kind: contract.CommandImport, By: by, Nodes: part})
		if err != nil {
			return fmt.Errorf("encode: %w", err)
		}
		last, err = i.put(ctx, data)
		if err != nil {
			return fmt.Errorf("after %d of %d nodes: NATS does not take the command; the import may be repeated: %w", done, len(i.nodes), err)
		}
		if done += len(part); done < len(i.nodes) {
			i.say("%d of %d sent", done, len(i.nodes))
		}
	}
	return i.await(ctx, last)
}

func (i *importer) put(ctx context.Context, data []byte) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, publishLimit)
	defer cancel()
	return i.Stream.Publish(ctx, contract.CommandSubject(i.Partition), data)
}

// await waits until the committed position reaches seq, for as long as it moves.
func (i *importer) await(ctx context.Context, seq uint64) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	moved, was := time.Now(), uint64(0)
	for {
		status, err := i.Store.Status(ctx, i.Partition)
		at := status.Clock.Position.Seq
		if err == nil && at >= seq {
			return nil
		}
		if at != was {
			moved, was = time.Now(), at
		}
		if time.Since(moved) > Patience {
			return errors.Join(errors.New("the nodes are sent, but no evaluator takes them; they will be there when one runs"), err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// check says how many nodes are here now that were not before, and why others are not. It returns how many others,
// without those that were deleted here.
func (i *importer) check(ctx context.Context) (failed int, err error) {
	here, err := i.known(ctx)
	if err != nil {
		return 0, err
	}
	deleted := 0
	for _, n := range i.nodes {
		if here[n.NodeID] {
			continue
		}
		events, err := i.Store.Events(ctx, n.NodeID, 1)
		if err != nil {
			return 0, fmt.Errorf("find out what became of %s: %w", n.NodeID, err)
		}
		if len(events) > 0 && events[0].Kind == node.Deleted {
			deleted++
			continue
		}
		failed++
	}
	if deleted > 0 {
		i.say("%d deleted here before, left out", deleted)
	}
	if failed > 0 {
		status, err := i.Store.Status(ctx, i.Partition)
		if err != nil {
			return 0, err
		}
		why := "the evaluator did not take them: is it older than this program?"
		if most := status.Clock.Settings.MaxNodes; len(here) >= most {
			why = fmt.Sprintf("no room: MAX_NODES is %d", most)
		}
		i.say("%d not imported: %s", failed, why)
	}
	i.say("imported %s; nobody was told", count(len(i.nodes)-deleted-failed, "node"))
	return failed, nil
}

// parts splits nodes into what one command may carry.
func parts(nodes []contract.Imported) func(yield func([]contract.Imported) bool) {
	return func(yield func([]contract.Imported) bool) {
		for len(nodes) > 0 {
			n, size := 0, 0
			for n < len(nodes) && n < contract.MaxImportedNodes {
				data, _ := json.Marshal(nodes[n]) // texts and numbers always marshal
				if size += len(data) + 1; size > contract.MaxImportBytes && n > 0 {
					break
				}
				n++
			}
			if !yield(nodes[:n]) {
				return
			}
			nodes = nodes[n:]
		}
	}
}
