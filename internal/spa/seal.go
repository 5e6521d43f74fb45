package spa

import (
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// protocolVersion is the text fwknop 2.6 writes; no server looks at it.
const protocolVersion = "3.0.0"

// Seal encodes a message for a server that knows the client's keys: the payload
// of one datagram, at most MaxPayload octets. The digest is the message's own,
// SHA256 if zero.
func Seal(m Message, c Client, digest Hash) ([]byte, error) {
	if digest == 0 {
		digest = SHA256
	}
	random, err := rand.Int(rand.Reader, big.NewInt(9e15))
	if err != nil {
		return nil, fmt.Errorf("make a random value: %w", err)
	}
	salt := make([]byte, saltSize)
	if _, err := rand.Read(salt); err != nil {
		return nil, fmt.Errorf("make a salt: %w", err)
	}
	body, err := m.body(strconv.FormatInt(1e15+random.Int64(), 10))
	if err != nil {
		return nil, err
	}
	return seal(body, c, digest, salt)
}

func seal(body []byte, c Client, digest Hash, salt []byte) ([]byte, error) {
	text := append(append(body[:len(body):len(body)], ':'), digest.text(body)...)
	packet, err := encrypt(c.Mode, c.Key, salt, text)
	if err != nil {
		return nil, err
	}
	if c.HMAC != 0 {
		mac := hmac.New(hashes[c.HMAC].new, c.HMACKey)
		mac.Write([]byte(cutText))
		mac.Write(packet)
		packet = b64.AppendEncode(packet, mac.Sum(nil))
	}
	if len(packet) < MinPayload || len(packet) > MaxPayload {
		return nil, fmt.Errorf("the packet has %d octets: servers take %d to %d", len(packet), MinPayload, MaxPayload)
	}
	return packet, nil
}

// body writes the fields that the digest covers and reads them back, so that
// nothing is sent that our own server would refuse.
func (m Message) body(random string) ([]byte, error) {
	if m.Type == Command {
		return nil, errors.New("command messages are not supported")
	}
	fields := []string{
		random,
		b64.EncodeToString([]byte(m.User)),
		strconv.FormatInt(m.Time.Unix(), 10),
		protocolVersion,
		strconv.Itoa(int(m.Type)),
		b64.EncodeToString([]byte(m.content())),
	}
	if m.Type.nat() {
		fields = append(fields, b64.EncodeToString([]byte(m.NAT.Host+","+strconv.Itoa(int(m.NAT.Port)))))
	}
	if m.Type.timed() {
		fields = append(fields, strconv.FormatInt(int64(m.Timeout/time.Second), 10))
	}
	body := []byte(strings.Join(fields, ":"))
	if _, err := parseMessage(body); err != nil {
		return nil, err
	}
	return body, nil
}

// content returns field 6. The unspecified address is written as IPv4, since
// stock servers know no other.
func (m Message) content() string {
	addr := m.Address.Unmap()
	if !addr.IsValid() || addr.IsUnspecified() {
		addr = netip.IPv4Unspecified()
	}
	s := addr.String()
	for _, p := range m.Ports {
		s += "," + p.Ports().String()
	}
	return s
}
