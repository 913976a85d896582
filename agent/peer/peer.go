// Package peer tells which peer of a libp2p network a key file belongs to, with the name that the network shows for it.
package peer

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// maxKeyBytes bounds a key file. One of RSA with 4,096 bits has 2.4 KiB.
const maxKeyBytes = 16 << 10

// ReadID returns the id of the peer whose private key is in a file such as swarm.pem. The key itself goes nowhere.
func ReadID(path string) (string, error) {
	data, err := read(path, maxKeyBytes)
	if err != nil {
		return "", fmt.Errorf("read identity: %w", err)
	}
	defer clear(data)
	return ID(data)
}

// read reads a regular file, up to a bound in bytes.
func read(path string, most int64) ([]byte, error) {
	// To open a pipe would wait for its writer.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "read", Path: path, Err: errors.New("it is no regular file")}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

var errNoKey = errors.New("no RSA key of libp2p")

// ID computes the id of a peer from its private key as libp2p stores it: a protobuf message of a type, 0 for RSA, and
// the key in DER. The id is the base58 of a multihash (0x12, 0x20: SHA-256, 32 bytes) of the public key in the same form.
func ID(private []byte) (string, error) {
	der, err := keyData(private)
	if err != nil {
		return "", err
	}
	numbers, ok := publicNumbers(der)
	if !ok {
		return "", errNoKey
	}
	public := publicKey(numbers)
	// Field 1, a number: type 0. Field 2, bytes.
	message := append([]byte{1 << 3, 0, 2<<3 | 2}, binary.AppendUvarint(nil, uint64(len(public)))...)
	sum := sha256.Sum256(append(message, public...))
	return base58(append([]byte{0x12, 0x20}, sum[:]...)), nil
}

// keyData takes the key out of the message: field 1 must be 0, field 2 is the key.
func keyData(message []byte) ([]byte, error) {
	var data []byte
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 {
			return nil, errNoKey
		}
		message = message[n:]
		value, n := binary.Uvarint(message)
		if n <= 0 {
			return nil, errNoKey
		}
		message = message[n:]
		switch {
		case tag == 1<<3 && value == 0:
		case tag == 2<<3|2 && value <= uint64(len(message)):
			data, message = message[:value], message[value:]
		default:
			return nil, errNoKey
		}
	}
	if data == nil {
		return nil, errNoKey
	}
	return data, nil
}

const base58Digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// base58 writes bytes that do not begin with 0.
func base58(b []byte) string {
	var digits []byte // of the number so far, the lowest first
	for _, c := range b {
		carry := int(c)
		for i := range digits {
			carry += int(digits[i]) << 8
			digits[i] = byte(carry % 58)
			carry /= 58
		}
		for ; carry > 0; carry /= 58 {
			digits = append(digits, byte(carry%58))
		}
	}
	slices.Reverse(digits)
	for i, d := range digits {
		digits[i] = base58Digits[d]
	}
	return string(digits)
}
