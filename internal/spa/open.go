package spa

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"hash"
)

// Token names a message once and for all: the SHA-256 of its text before the
// digest. Spelling, mode, salt and HMAC are not in it.
type Token = [sha256.Size]byte

// ErrNotOurs is the error of a packet that these keys did not make.
var ErrNotOurs = errors.New("not made with these keys")

// Open reads a packet with one client's keys. It neither asks for its age nor
// whether it was used before: see Gate for that.
func Open(payload []byte, c Client) (Message, Token, error) {
	if !plausible(payload) {
		return Message{}, Token{}, ErrNotOurs
	}
	o := newOpener(&c)
	if !o.authentic(payload) {
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
	text   [86]byte
}

func newOpener(c *Client) *opener {
	o := &opener{client: c}
	if c.HMAC != 0 {
		o.mac = hmac.New(hashes[c.HMAC].new, c.HMACKey)
		o.macLen = c.HMAC.textLen()
	}
	return o
}

// authentic compares the HMAC as text, so that spare bits make no second
// spelling. Without an HMAC everything may be authentic.
func (o *opener) authentic(payload []byte) bool {
	if o.mac == nil {
		return true
	}
	n := len(payload) - o.macLen
	o.mac.Reset()
	o.mac.Write(cutOctets)
	o.mac.Write(payload[:n])
	text := b64.AppendEncode(o.text[:0], o.mac.Sum(o.sum[:0]))
	return subtle.ConstantTimeCompare(text, payload[n:]) == 1
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

// sameKeys says whether two clients' packets are opened alike.
func sameKeys(a, b *Client) bool {
	return a.Mode == b.Mode && a.HMAC == b.HMAC && bytes.Equal(a.Key, b.Key) && bytes.Equal(a.HMACKey, b.HMACKey)
}
