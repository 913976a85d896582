package standardsql

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/nodestore"
)

// Samples implements nodestore.History. Each slot is looked up by itself: what lies together in the table is what was
// written at one time, of all nodes.
func (s Store) Samples(ctx context.Context, nodeID string, since node.Stamp) (out []nodestore.Sample, err error) {
	err = s.read(ctx, "read samples", func(tx session) error {
		return tx.each(ctx, `WITH RECURSIVE slots (slot) AS (
				SELECT CAST($2 AS bigint) UNION ALL SELECT slot + 1 FROM slots WHERE slot < ({now} + $5) / $3)
			SELECT s.at, s.round, s.cpu, s.memory, s.disk, s.gpu_use, s.gpu_memory, s.gpu_temp
			FROM slots t JOIN samples s ON s.slot = t.slot AND s.node_id = $1 WHERE s.at >= $4 ORDER BY s.at`,
			[]any{nodeID, nodestore.SampleSlot(nodeID, since), int64(nodestore.SampleEvery), int64(since), nodestore.SampleShift(nodeID)},
			func(scan func(...any) error) (bool, error) {
				x := nodestore.Sample{NodeID: nodeID}
				err := scanSample(scan, &x)
				out = append(out, x)
				return true, err
			})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func scanSample(scan func(...any) error, x *nodestore.Sample) error {
	var tenths [6]*int64
	err := scan(&x.At, &x.Round, &tenths[0], &tenths[1], &tenths[2], &tenths[3], &tenths[4], &tenths[5])
	for i, to := range []**float64{&x.CPU, &x.Memory, &x.Disk, &x.GPUUse, &x.GPUMemory, &x.GPUTemp} {
		if tenths[i] != nil {
			*to = new(float64(*tenths[i]) / 10)
		}
	}
	return err
}

// sampleChunk is how many samples one statement writes.
const sampleChunk = 100

// AddSamples implements nodestore.Writer.
func (s Store) AddSamples(ctx context.Context, samples []nodestore.Sample) error {
	if len(samples) == 0 {
		return nil
	}
	return s.write(ctx, "store samples", func(tx session) error {
		for some := range slices.Chunk(samples, sampleChunk) {
			const columns = 10
			query := "INSERT INTO samples (slot, node_id, at, round, cpu, memory, disk, gpu_use, gpu_memory, gpu_temp) VALUES "
			args := make([]any, 0, columns*len(some))
			for i := range some {
				if i > 0 {
					query += ", "
				}
				query += "(" + placeholders(1+len(args), columns) + ")"
				args = append(args, sampleValues(&some[i])...)
			}
			if _, err := tx.exec(ctx, query+" ON CONFLICT (slot, node_id) DO NOTHING", args...); err != nil {
				return err
			}
		}
		return nil
	})
}

func sampleValues(x *nodestore.Sample) []any {
	return []any{
		nodestore.SampleSlot(x.NodeID, x.At), x.NodeID, int64(x.At), x.Round,
		tenths(x.CPU), tenths(x.Memory), tenths(x.Disk), tenths(x.GPUUse), tenths(x.GPUMemory), tenths(x.GPUTemp),
	}
}

// tenths is a measure as stored. What no machine can have is not known.
func tenths(v *float64) *int64 {
	if v == nil || !(math.Abs(*v) <= math.MaxInt16/10.0) {
		return nil
	}
	return new(int64(math.Round(*v * 10)))
}

// PruneSamples implements nodestore.Writer.
func (s Store) PruneSamples(ctx context.Context, age time.Duration, limit int) (n int, err error) {
	err = s.write(ctx, "prune samples", func(tx session) error {
		deleted, err := tx.exec(ctx, `DELETE FROM samples WHERE (slot, node_id) IN (SELECT slot, node_id FROM samples
			WHERE slot < ({now} - $1) / $2 ORDER BY slot, node_id LIMIT $3)`,
			int64(age), int64(nodestore.SampleEvery), limit)
		n = int(deleted)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}
