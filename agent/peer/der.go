package peer

// The few kinds of DER that a key of RSA is made of. The package crypto/x509 would read them, too, and bring along all
// that can be done with a private key, a tenth of a megabyte: only the two public numbers are wanted here.
const (
	derInteger   = 0x02
	derBitString = 0x03
	derOctets    = 0x04
	derSequence  = 0x30
)

// rsaAlgorithm is SEQUENCE { OBJECT IDENTIFIER rsaEncryption (1.2.840.113549.1.1.1), NULL }.
var rsaAlgorithm = []byte{
	derSequence, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0,
}

// next takes the first value of a kind off data.
func next(data []byte, kind byte) (value, rest []byte, ok bool) {
	if len(data) < 2 || data[0] != kind {
		return nil, nil, false
	}
	length, at := int(data[1]), 2
	if length >= 0x80 {
		count := length & 0x7f
		if count == 0 || count > 3 || len(data) < at+count {
			return nil, nil, false
		}
		length = 0
		for _, b := range data[at : at+count] {
			length = length<<8 | int(b)
		}
		at += count
	}
	if length > len(data)-at {
		return nil, nil, false
	}
	return data[at : at+length], data[at+length:], true
}

// encode makes a value of a kind.
func encode(kind byte, value ...byte) []byte {
	out := []byte{kind}
	switch n := len(value); {
	case n < 0x80:
		out = append(out, byte(n))
	case n < 1<<8:
		out = append(out, 0x81, byte(n))
	default:
		out = append(out, 0x82, byte(n>>8), byte(n))
	}
	return append(out, value...)
}

// publicNumbers finds the modulus and the public exponent, as they are encoded, in a private key: RSAPrivateKey of PKCS 1
// (version, modulus, exponent, and what is secret), also inside PrivateKeyInfo of PKCS 8.
func publicNumbers(der []byte) ([]byte, bool) {
	key, _, ok := next(der, derSequence)
	if !ok {
		return nil, false
	}
	_, rest, ok := next(key, derInteger) // the version
	if !ok {
		return nil, false
	}
	if _, after, ok := next(rest, derSequence); ok {
		inner, _, ok := next(after, derOctets)
		if !ok || len(inner) >= len(der) {
			return nil, false
		}
		return publicNumbers(inner)
	}
	modulus, after, ok := next(rest, derInteger)
	if !ok || len(modulus) < 64 {
		return nil, false
	}
	exponent, _, ok := next(after, derInteger)
	if !ok || len(exponent) == 0 {
		return nil, false
	}
	return append(encode(derInteger, modulus...), encode(derInteger, exponent...)...), true
}

// publicKey is SubjectPublicKeyInfo of the numbers.
func publicKey(numbers []byte) []byte {
	bits := append([]byte{0}, encode(derSequence, numbers...)...)
	return encode(derSequence, append(rsaAlgorithm[:len(rsaAlgorithm):len(rsaAlgorithm)], encode(derBitString, bits...)...)...)
}
