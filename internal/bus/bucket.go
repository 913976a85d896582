package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrChanged means that a key was changed by somebody else meanwhile.
var ErrChanged = errors.New("the key was changed meanwhile")

// Entry is what a bucket holds under a key, or that it holds nothing there any more.
type Entry struct {
	Key      string
	Value    []byte
	Revision uint64 // grows with every change in the bucket
	Removed  bool
}

// bucketConfig is that of a bucket, as jetstream.KeyValue expects it.
func bucketConfig(name string, replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              bucketStream(name),
		Subjects:          []string{keyPrefix(name) + ">"},
		Storage:           jetstream.FileStorage,
		Discard:           jetstream.DiscardNew,
		MaxMsgsPerSubject: 1,
		MaxBytes:          -1,
		AllowRollup:       true,
		DenyDelete:        true,
		AllowDirect:       true,
		Replicas:          max(replicas, 1),
	}
}

func bucketStream(name string) string { return "KV_" + name }

func keyPrefix(bucket string) string { return "$KV." + bucket + "." }

// Put stores a value under a key.
func (b *Bus) Put(ctx context.Context, bucket, key string, value []byte) error {
	return b.change(ctx, bucket, key, func(kv jetstream.KeyValue) error {
		_, err := kv.Put(ctx, key, value)
		return err
	})
}

// PutAt stores a value under a key, provided that the key's last change was this revision; 0 for a key that was never
// used. Else ErrChanged.
func (b *Bus) PutAt(ctx context.Context, bucket, key string, value []byte, revision uint64) error {
	return b.change(ctx, bucket, key, func(kv jetstream.KeyValue) error {
		_, err := kv.Update(ctx, key, value, revision)
		if errors.Is(err, jetstream.ErrKeyExists) {
			err = ErrChanged
		}
		return err
	})
}

// Remove removes a key, whether it is there or not.
func (b *Bus) Remove(ctx context.Context, bucket, key string) error {
	return b.change(ctx, bucket, key, func(kv jetstream.KeyValue) error { return kv.Delete(ctx, key) })
}

func (b *Bus) change(ctx context.Context, bucket, key string, do func(jetstream.KeyValue) error) error {
	kv, err := b.js.KeyValue(ctx, bucket)
	if err == nil {
		err = do(kv)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrBucketNotFound):
		err = ErrNoStream
	case !errors.Is(err, ErrChanged):
		err = unavailable(err)
	}
	return fmt.Errorf("bucket %s: %s: %w", bucket, key, err)
}

// Entries returns the last entry of every key that was ever used, removed ones included.
func (b *Bus) Entries(ctx context.Context, bucket string) (all []Entry, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	whole := false
	err = b.Follow(ctx, bucket, func(e Entry) { all = append(all, e) }, func() { whole = true; cancel() })
	switch {
	case err != nil:
		return nil, err
	case !whole:
		return nil, fmt.Errorf("bucket %s: %w", bucket, unavailable(ctx.Err()))
	}
	return all, nil
}

// Follow calls each with the last entry of every key, calls whole once it did so for all there are, and goes on to call
// each with every change. It never mends itself, as a Reader does not: after anything unusual it ends with an error, so
// that its user begins anew with all there is. It ends without an error when ctx does.
func (b *Bus) Follow(ctx context.Context, bucket string, each func(Entry), whole func()) error {
	c, err := b.js.CreateConsumer(ctx, bucketStream(bucket), jetstream.ConsumerConfig{
		AckPolicy:         jetstream.AckNonePolicy,
		DeliverPolicy:     jetstream.DeliverLastPerSubjectPolicy,
		FilterSubject:     keyPrefix(bucket) + ">",
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: heartbeat * 30,
	})
	if err != nil {
		return ended(ctx, bucket, err)
	}
	left := c.CachedInfo().NumPending
	if left == 0 {
		whole()
	}
	if ctx.Err() != nil {
		return nil
	}
	iter, err := c.Messages(jetstream.PullMaxMessagesWithBytesLimit(512, pullBytes), jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return ended(ctx, bucket, err)
	}
	defer iter.Stop()
	defer context.AfterFunc(ctx, iter.Stop)()
	for delivered := uint64(1); ; delivered++ {
		m, err := iter.Next()
		if err != nil {
			return ended(ctx, bucket, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return ended(ctx, bucket, err)
		}
		if meta.Sequence.Consumer != delivered {
			return ended(ctx, bucket, errHole)
		}
		op := m.Headers().Get("KV-Operation")
		each(Entry{
			Key: strings.TrimPrefix(m.Subject(), keyPrefix(bucket)), Value: m.Data(), Revision: meta.Sequence.Stream,
			Removed: op == "DEL" || op == "PURGE",
		})
		if left > 0 {
			if left--; left == 0 {
				whole()
			}
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// ended is why following a bucket ended, nil when it was to end.
func ended(ctx context.Context, bucket string, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return lookup("bucket "+bucket, err)
}
