package bus_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/gensyn-monitor/gensyn-monitor/contract"
	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
)

// users are those of the deployment.
var users = []string{"ingest", "evaluator", "notifier", "web"}

// deployed runs a server with the users of the compose deployment, each with its name as password.
func deployed(t *testing.T) (url func(user string) string) {
	t.Helper()
	root := t.TempDir()
	put := func(path string, data []byte) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	conf, err := os.ReadFile("../../deploy/compose/nats/users.conf")
	if err != nil {
		t.Fatal(err)
	}
	var passwords strings.Builder
	for _, u := range users {
		fmt.Fprintf(&passwords, "%s_PASSWORD: %q\n", strings.ToUpper(u), u)
	}
	put("etc/nats/users.conf", conf)
	put("etc/nats/nats.conf", fmt.Appendf(nil, "listen: \"127.0.0.1:-1\"\njetstream { store_dir: %q, max_file: 1G }\ninclude users.conf\n", filepath.Join(root, "data")))
	put("run/secrets/passwords.conf", []byte(passwords.String()))
	o, err := server.ProcessConfigFile(filepath.Join(root, "etc/nats/nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	o.NoLog, o.NoSigs = true, true
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("nats-server: not ready")
	}
	return func(user string) string { return "nats://" + user + ":" + user + "@" + s.Addr().String() }
}

// busOf is the bus as a service uses it; a refusal fails the test.
func busOf(t *testing.T, url, user string) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(bus.Options{URL: url, Name: user, OnError: func(err error) { t.Errorf("%s: %v", user, err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	for deadline := time.Now().Add(10 * time.Second); b.Ready(t.Context()) != nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(b.Ready(t.Context()))
		}
	}
	return b
}

// Every service's user may do all that the service does.
func TestUsersMayDoTheirWork(t *testing.T) {
	url := deployed(t)
	ctx := t.Context()
	ingest, evaluator, notifier, web := busOf(t, url("ingest"), "ingest"), busOf(t, url("evaluator"), "evaluator"),
		busOf(t, url("notifier"), "notifier"), busOf(t, url("web"), "web")
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	must("ingest makes the streams", ingest.EnsureStreams(ctx, 0, bus.StreamLimits{MaxBytes: 1 << 20}))
	must("evaluator makes them", evaluator.EnsureStreams(ctx, 0, bus.StreamLimits{MaxBytes: 1 << 20}))
	must("ingest looks at replicas", ingest.FewReplicas(ctx, 0, 1))
	seq, err := ingest.Publish(ctx, contract.HeartbeatSubject(0), []byte("{}"))
	must("ingest publishes", err)
	_, err = evaluator.Info(ctx, 0)
	must("evaluator looks at the stream", err)
	_, err = evaluator.StampAt(ctx, 0, seq)
	must("evaluator looks at a message", err)
	r, err := evaluator.Consume(ctx, 0, bus.Start{Seq: 1})
	if err != nil {
		t.Fatal(err)
	}
	if m := <-r.Messages(); m.Seq != seq {
		t.Errorf("evaluator reads message %d, want %d", m.Seq, seq)
	}
	r.Stop()
	_, err = web.Clock(ctx, 0)
	must("web looks at the clock", err)
	for _, b := range []*bus.Bus{web, evaluator} {
		_, err = b.Publish(ctx, contract.CommandSubject(0), []byte("{}"))
		must("a command", err)
	}
	must("web puts a token", web.Put(ctx, contract.TokensBucket, "a", nil))
	must("web puts another", web.PutAt(ctx, contract.TokensBucket, "b", nil, 0))
	must("web removes it", web.Remove(ctx, contract.TokensBucket, "b"))
	for name, b := range map[string]*bus.Bus{"ingest": ingest, "web": web} {
		all, err := b.Entries(ctx, contract.TokensBucket)
		must(name+" reads the tokens", err)
		if len(all) != 2 {
			t.Errorf("%s reads %d tokens", name, len(all))
		}
	}
	heard := make(chan string, 1000)
	stop, err := web.OnProcess(func(data []byte) {
		p, err := contract.DecodeProcess(data)
		must("a process", err)
		heard <- p.Service + " " + p.ID
	})
	must("web waits for processes", err)
	defer stop()
	for len(heard) == 0 { // subscribing takes a moment, and each says only once in ten seconds who it is
		moment, end := context.WithTimeout(ctx, 50*time.Millisecond)
		must("web introduces itself", web.Introduction("web", "host-web", "1.2.3", nil)(moment))
		end()
	}
	want := map[string]bool{}
	introducing, enough := context.WithCancel(ctx)
	for name, b := range map[string]*bus.Bus{"ingest": ingest, "evaluator": evaluator, "notifier": notifier, "web": web} {
		want[name+" host-"+name] = true
		done := make(chan error)
		go func() { done <- b.Introduction(name, "host-"+name, "1.2.3", nil)(introducing) }()
		defer func() { must(name+" introduces itself", <-done) }()
	}
	defer enough()
	for deadline := time.After(10 * time.Second); len(want) > 0; {
		select {
		case h := <-heard:
			delete(want, h)
		case <-deadline:
			t.Fatalf("web does not hear %v", want)
		}
	}
	for name, b := range map[string]*bus.Bus{"notifier": notifier, "web": web} {
		woken := make(chan struct{}, 1)
		stop, err := b.OnNews(func() {
			select {
			case woken <- struct{}{}:
			default:
			}
		}, func() time.Duration { return time.Millisecond })
		must(name+" waits for events", err)
		defer stop()
		for deadline := time.Now().Add(10 * time.Second); len(woken) == 0; time.Sleep(10 * time.Millisecond) { // the subscription may take a moment
			_, err = evaluator.Publish(ctx, contract.EventSubject(0), []byte("{}"))
			must("evaluator announces", err)
			if time.Now().After(deadline) {
				t.Fatalf("%s hears no event", name)
			}
		}
	}
}

// What is another's is refused, also to hear what another was answered.
func TestUsersMayDoNothingElse(t *testing.T) {
	url := deployed(t)
	if err := busOf(t, url("ingest"), "ingest").EnsureStreams(t.Context(), 0, bus.StreamLimits{MaxBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	own := map[string]string{ // who may publish to it
		"heartbeat.0": "ingest", "event.0": "evaluator", "command.0": "evaluator web",
		"$JS.API.STREAM.DELETE.HEARTBEATS_0": "", "$JS.API.STREAM.PURGE.HEARTBEATS_0": "", "$JS.API.STREAM.UPDATE.HEARTBEATS_0": "",
		"$JS.API.STREAM.MSG.DELETE.HEARTBEATS_0": "", "$JS.API.STREAM.MSG.GET.HEARTBEATS_0": "evaluator",
		"$JS.API.CONSUMER.CREATE.HEARTBEATS_0.x": "evaluator", "$KV.TOKENS.x": "web", "$JS.API.CONSUMER.CREATE.KV_TOKENS.x": "ingest web",
		"$JS.API.STREAM.INFO.HEARTBEATS_0": "ingest evaluator web", "$JS.API.STREAM.INFO.EVENTS": "ingest evaluator",
		"$JS.API.STREAM.INFO.KV_TOKENS": "ingest evaluator web", "$JS.API.STREAM.CREATE.HEARTBEATS_0": "ingest evaluator",
		"$JS.API.STREAM.CREATE.EVENTS": "ingest evaluator", "$JS.API.STREAM.CREATE.KV_TOKENS": "ingest evaluator",
		"$JS.API.CONSUMER.MSG.NEXT.HEARTBEATS_0.x": "evaluator", "$JS.API.CONSUMER.DELETE.HEARTBEATS_0.x": "evaluator",
		"$JS.API.CONSUMER.INFO.HEARTBEATS_0.x": "evaluator", "$JS.API.CONSUMER.MSG.NEXT.KV_TOKENS.x": "ingest web",
		"$JS.API.CONSUMER.DELETE.KV_TOKENS.x": "ingest web", "$JS.API.CONSUMER.INFO.KV_TOKENS.x": "ingest web",
		"$JS.API.CONSUMER.CREATE.EVENTS.x": "", "$JS.API.STREAM.MSG.GET.EVENTS": "", "$JS.API.STREAM.MSG.GET.KV_TOKENS": "",
		"$JS.API.STREAM.SNAPSHOT.HEARTBEATS_0": "", "$JS.API.STREAM.RESTORE.HEARTBEATS_0": "", "$JS.API.STREAM.NAMES": "",
		"$JS.API.DIRECT.GET.KV_TOKENS": "", "$JS.API.DIRECT.GET.HEARTBEATS_0": "", "$JS.API.INFO": "", "_INBOX_web.x": "", "_INBOX_ingest.x": "",
		"$JS.API.STREAM.DELETE.KV_TOKENS": "", "$JS.API.STREAM.CREATE.OTHER": "", "heartbeat.1": "", "other": "",
		"process.ingest": "ingest", "process.evaluator": "evaluator", "process.notifier": "notifier", "process.web": "web",
	}
	heard := map[string]string{ // who may subscribe to it
		"event.*": "notifier web", "heartbeat.*": "", "heartbeat.>": "", "process.*": "web", // the server takes the > for a name that * allows
		"command.>": "", "_INBOX.>": "", "_INBOX_ingest.>": "ingest",
		"_INBOX_evaluator.>": "evaluator", "_INBOX_notifier.>": "notifier", "_INBOX_web.>": "web", ">": "", "$JS.>": "", "$SYS.>": "",
	}
	for _, user := range users {
		for subject, who := range own {
			allowed := strings.Contains(who, user)
			if err := attempt(t, url(user), func(nc *nats.Conn) error { return nc.Publish(subject, []byte("{}")) }); (err == nil) != allowed {
				t.Errorf("%s publishes to %s: %v, want allowed %v", user, subject, err, allowed)
			}
		}
		for subject, who := range heard {
			allowed := strings.Contains(who, user)
			if err := attempt(t, url(user), func(nc *nats.Conn) error { _, err := nc.SubscribeSync(subject); return err }); (err == nil) != allowed {
				t.Errorf("%s hears %s: %v, want allowed %v", user, subject, err, allowed)
			}
		}
	}
	for _, stranger := range []string{"nats://stranger:x@", "nats://ingest:wrong@", "nats://"} {
		_, addr, _ := strings.Cut(url("ingest"), "@")
		if nc, err := nats.Connect(stranger + addr); err == nil {
			nc.Close()
			t.Errorf("%s may connect", stranger)
		}
	}
}

// attempt does something on a connection of its own, and returns what the server said against it.
func attempt(t *testing.T, url string, do func(*nats.Conn) error) error {
	t.Helper()
	said := make(chan error, 10)
	nc, err := nats.Connect(url, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { said <- err }))
	if err != nil {
		t.Fatal(err)
	}
	if err := do(nc); err != nil {
		t.Fatal(err)
	}
	// The server answers in order: what it has against something is here before the answer to what follows.
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	select {
	case err := <-said:
		return err
	default:
		return nc.LastError()
	}
}
