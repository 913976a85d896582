package peer_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gensyn-monitor/gensyn-monitor/agent/peer"
)

func message(kind byte, der []byte) []byte {
	return append(binary.AppendUvarint([]byte{8, kind, 18}, uint64(len(der))), der...)
}

func TestID(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := x509.MarshalPKCS1PrivateKey(key)
	id, err := peer.ID(message(0, pkcs1))
	if err != nil || len(id) != 46 || !strings.HasPrefix(id, "Qm") {
		t.Fatalf("%q, %v", id, err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := peer.ID(message(0, pkcs8)); again != id {
		t.Errorf("in PKCS 8: %q, %v; want %q", again, err, id)
	}
	file := filepath.Join(t.TempDir(), "swarm.pem")
	if err := os.WriteFile(file, message(0, pkcs1), 0o400); err != nil {
		t.Fatal(err)
	}
	if again, err := peer.ReadID(file); again != id {
		t.Errorf("from the file: %q, %v", again, err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "of another type": message(1, pkcs1), "cut": message(0, pkcs1)[:100], "cut inside": message(0, pkcs1[:100]), "no key": message(0, []byte("x")),
		"text": []byte("-----BEGIN RSA PRIVATE KEY-----\n"), "type alone": {8, 0}, "too long": {8, 0, 18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
	} {
		got, err := peer.ID(bad)
		if err == nil {
			t.Errorf("%s: %q", name, got)
		} else if strings.Contains(err.Error(), "asn1") {
			t.Errorf("%s: the error tells of the inside of the key: %v", name, err)
		}
	}
}

const (
	knownID  = "QmUncH455zogU2UVU24zZRa2qbpL2gd3fqdv6SBJz7Aq9n"
	knownKey = "MIICXAIBAAKBgQC3aXM6EuKBNI4R0rzPGpVFejxK+jvzCY/PEUdj3t2SLTlOhup7csZLfoacJ7KEM39AZx80Adnbi0LkGl3Vb9zI" +
		"RBOLxHz13Aowvk89LlxKozS8Y9nCizmNai1PjZNfYwx0QWPiSjbX31FITXcGyDw/X6NdZbWWRThp1+1GKEGz1QIDAQABAoGAN+7O" +
		"lv0/Wgu+76yGq9n9f6yhSnQ5aAqYcptgXBKRG4zzFwGJ7I+57TfusRxiEnLp8agBGgkeeRdlFM79oqN0fpHeoA7mXCzVHSnxwqKf" +
		"3/TU5diUYJ+yNvk4Hp9xX6bB/ErXNyV1WeOH/LoX6sihU3r4v5gxaBPz/wy1oLSjvUECQQDnsGuKzzXVl8sigMGt50gM6j6duxiD" +
		"eKQTItgSzfFvyIVCg/nhPD+iPyX7hg5oqhRkv+nlxQh6cr7UMMVuy/PZAkEAyqg35wEY2leGFB9GInvk1eo8beOFx6wgc5C06r9K" +
		"9FiRdDYJFwVPs/CLr4Pt1lwjZLAHWrrHQuTH7Z6QHg5OXQJAaBA5fXNsfq9bMfgbBf0nw4VC8p2ieQqqx12TJ38QvmCWWjXk+mGR" +
		"Q1KRwNOJjUE3P7ljWSySjk0ToUL2qrk4oQJBALrVg1RRSpxhfJcojfxUxJACt1uIG1oOcoyYqHKTkYLb9J1zA8ZZezWlWuKheq/Z" +
		"mjfFocIf2HzvdvK28J8FCXECQFAm/nIzt1jqJ7aBARBloQIZTlf0ePetWjPS5BWHerktBJ9afcy42qt2utmWNUwn3H9SO244dRRF" +
		"GL29BP7WZkw="
)

// TestIDOfAKnownKey: a throw-away key made for this test, whose id was computed by an independent program.
func TestIDOfAKnownKey(t *testing.T) {
	der, err := base64.StdEncoding.DecodeString(knownKey)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := peer.ID(message(0, der)); got != knownID {
		t.Errorf("%q, %v; want %q", got, err, knownID)
	}
}

// TestIDsOfManyKeys: the public key is encoded as the standard library does, for keys of all lengths.
func TestIDsOfManyKeys(t *testing.T) {
	for _, bits := range []int{1024, 1032, 1500, 2048} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(message(0, der))
		want := new(big.Int).SetBytes(append([]byte{0x12, 0x20}, sum[:]...))
		id, err := peer.ID(message(0, x509.MarshalPKCS1PrivateKey(key)))
		if err != nil {
			t.Fatal(err)
		}
		got := new(big.Int)
		for _, c := range id {
			got.Mul(got, big.NewInt(58))
			got.Add(got, big.NewInt(int64(strings.IndexRune("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", c))))
		}
		if got.Cmp(want) != 0 {
			t.Errorf("%d bits: %s is %x, want %x", bits, id, got, want)
		}
	}
}

func FuzzID(f *testing.F) {
	f.Add([]byte{8, 0, 18, 1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		if id, err := peer.ID(data); err == nil && len(id) < 40 {
			t.Errorf("%q", id)
		}
	})
}
