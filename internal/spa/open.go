package spa

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"hash"
)

// Token names a message once and for all: the SHA-256 of its text before the
// digest. Spelling, mode, salt and HMAC are not in it.
type Token = [sha256.Size]byte

// ErrNotOurs is the error of a packet that these keys did not make.
var ErrNotOurs = errors.New("not made with these keys")

// Open reads a packet with one client's keys. It neither asks for its age nor
// whether it was used before: see Verifier for that.
func Open(payload []byte, c Client) (Message, Token, error) {
	if !plausible(payload) {
		return Message{}, Token{}, ErrNotOurs
	}
	o := newOpener(&c)
	if !o.authentic(payload, &signature{}) {
		return Message{}, Token{}, ErrNotOurs
	}
	body, err := o.decode(payload)
	if err != nil {
		return Message{}, Token{}, err
	}
	m, err := parseMessage(body)
	if err != nil {
		return Message{}, Token{}, err
	}
	return m, sha256.Sum256(body), nil
}

// opener holds one client's keys ready: the HMAC's two inner states are computed
// once. It is not safe for concurrent use.
type opener struct {
	client *Client
	mac    hash.Hash // nil: no HMAC
	macLen int       // its characters at the end of a packet
	sum    [64]byte
}

// signature is the HMAC at the end of a packet, read once for all keys.
type signature struct {
	chars  int // it is written in; 0: not read yet
	size   int // in octets; 0: it is none
	octets [64]byte
}

// read reads the last characters of a packet. With spare bits that are set it is
// none: they would make a second spelling.
func (s *signature) read(payload []byte, chars int) {
	if s.chars == chars {
		return
	}
	n, err := b64.Decode(s.octets[:], payload[len(payload)-chars:])
	if err != nil {
		n = 0
	}
	s.chars, s.size = chars, n
}

func newOpener(c *Client) *opener {
	o := &opener{client: c}
	if c.HMAC != 0 {
		o.mac = hmac.New(hashes[c.HMAC].new, c.HMACKey)
		o.macLen = c.HMAC.textLen()
	}
	return o
}

// authentic reports whether the HMAC, which is read into s unless it was, is that
// of these keys. Without an HMAC everything may be authentic.
func (o *opener) authentic(payload []byte, s *signature) bool {
	if o.mac == nil {
		return true
	}
	if s.read(payload, o.macLen); s.size == 0 {
		return false
	}
	o.mac.Reset()
	o.mac.Write(cutOctets)
	o.mac.Write(payload[:len(payload)-o.macLen])
	return hmac.Equal(o.mac.Sum(o.sum[:0]), s.octets[:s.size])
}

var cutOctets = []byte(cutText) // once, so that junk costs no memory

// decode returns the text before the digest, after the digest was compared.
func (o *opener) decode(payload []byte) ([]byte, error) {
	text, err := decrypt(o.client.Mode, o.client.Key, payload[:len(payload)-o.macLen])
	if err != nil {
		return nil, err
	}
	return splitDigest(text)
}

// sameKeys reports whether two clients' packets are opened alike.
func sameKeys(a, b *Client) bool {
	return a.Mode == b.Mode && a.HMAC == b.HMAC && bytes.Equal(a.Key, b.Key) && bytes.Equal(a.HMACKey, b.HMACKey)
}
