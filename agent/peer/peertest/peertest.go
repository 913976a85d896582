// Package peertest makes the files that a peer's id and name come from, with keys and words that nobody uses.
package peertest

import (
	"crypto/md5" // as RL-Swarm does
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// Adjectives and animals are as many as RL-Swarm has.
const (
	adjectives = 245
	animals    = 220
)

// Lists makes two lists of words, all different.
func Lists() (adj, animal []string) { return words("q", adjectives), words("z", animals) }

func words(first string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = first + string([]byte{byte('a' + i/26), byte('a' + i%26)})
	}
	return list
}

// Source is Python with the two lists among other things.
func Source(adj, animal []string) string {
	quoted := func(words []string) string {
		return "[\n    \"" + strings.Join(words, "\", \"") + "\",\n]\n"
	}
	return "import hashlib\n\n# fmt: off\nADJECTIVES = " + quoted(adj) + "\nANIMALS = " + quoted(animal) +
		"# fmt: on\n\n\ndef name(peer):\n    \"\"\"That's it.\"\"\"\n    return f\"{peer}\"\n"
}

// Name is the name that the words of Lists give a peer.
func Name(id string) string {
	adj, animal := Lists()
	sum := md5.Sum([]byte(id))
	return fmt.Sprint(adj[int(sum[2])%adjectives], " ", adj[int(sum[1])%adjectives], " ", animal[int(sum[0])%animals])
}

// Key is a file with the key of a new peer, as libp2p stores it.
func Key(tb testing.TB) []byte {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		tb.Fatal(err)
	}
	der := x509.MarshalPKCS1PrivateKey(key)
	return append(binary.AppendUvarint([]byte{8, 0, 18}, uint64(len(der))), der...)
}
