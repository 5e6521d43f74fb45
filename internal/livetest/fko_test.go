package livetest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	domain "knockd/internal/knock"
	"knockd/internal/nettest"
	"knockd/internal/spa"
)

// saltText is what packets begin with and never carry.
const saltText = "U2FsdGVkX1"

// laptop are the keys of spaKeys.
var laptop = spa.Client{Name: "laptop", Key: []byte(spaKey), HMACKey: []byte(spaHMAC), HMAC: spa.SHA256}

// message returns a packet for tcp/22 and what else is asked, stamped now.
func message(t testing.TB, c spa.Client, allow string, ports ...uint16) []byte {
	t.Helper()
	return stampedMessage(t, c, time.Now(), allow, ports...)
}

func stampedMessage(t testing.TB, c spa.Client, at time.Time, allow string, ports ...uint16) []byte {
	t.Helper()
	m := spa.Message{User: "tester", Time: at, Type: spa.Access, Address: netip.MustParseAddr(allow)}
	for _, p := range append([]uint16{22}, ports...) {
		m.Ports = append(m.Ports, domain.Step{Proto: domain.TCP, Port: p})
	}
	p, err := spa.Seal(m, c, 0)
	if err != nil {
		t.Fatal(err)
	}
	secrets.packet(p, c)
	return p
}

// sendMessage sends a packet to the server, as one datagram.
func sendMessage(t testing.TB, client *nettest.Host, packet []byte) {
	t.Helper()
	if err := client.Send(nettest.Server4+":62201", packet); err != nil {
		t.Fatal(err)
	}
}

// sendFrom sends a packet to the server from one of the client's addresses.
func sendFrom(client *nettest.Host, from string, packet []byte) error {
	return client.Do(func() error {
		conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, &net.UDPAddr{IP: net.ParseIP(nettest.Server4), Port: 62201})
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write(packet)
		return err
	})
}

// codec is fwknop's encryption once more, from the standard library and its
// description alone: it looks into packets and makes others with the same text.
func codec(key, salt []byte) (cipher.Block, []byte) {
	var all, last []byte
	for len(all) < 48 {
		sum := md5.Sum(append(append(append([]byte{}, last...), key...), salt...))
		last = sum[:]
		all = append(all, last...)
	}
	block, _ := aes.NewCipher(all[:32])
	return block, all[32:48]
}

// plaintext returns the text of a packet in CBC mode, with its padding.
func plaintext(packet []byte, c spa.Client) []byte {
	n := len(packet)
	if c.HMAC != 0 {
		n -= macLen[c.HMAC]
	}
	raw, err := base64.RawStdEncoding.DecodeString(saltText + string(packet[:n]))
	if err != nil || len(raw) < 32 || len(raw)%16 != 0 {
		return nil
	}
	block, iv := codec(c.Key, raw[8:16])
	text := make([]byte, len(raw)-16)
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(text, raw[16:])
	return text
}

var macLen = map[spa.Hash]int{spa.MD5: 22, spa.SHA1: 27, spa.SHA256: 43, spa.SHA384: 64, spa.SHA512: 86, spa.SHA3_256: 43, spa.SHA3_512: 86}

// resalt returns the packet's text encrypted with another salt: the holder of
// the keys could have made it. The HMAC must be SHA-256 or none.
func resalt(packet []byte, c spa.Client) []byte {
	salt := make([]byte, 8)
	rand.Read(salt)
	text := plaintext(packet, c)
	block, iv := codec(c.Key, salt)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(text, text)
	all := base64.RawStdEncoding.EncodeToString(append(append([]byte("Salted__"), salt...), text...))
	if c.HMAC == 0 {
		return []byte(all[len(saltText):])
	}
	mac := hmac.New(sha256.New, c.HMACKey)
	mac.Write([]byte(all))
	return []byte(all[len(saltText):] + base64.RawStdEncoding.EncodeToString(mac.Sum(nil)))
}

// respelled returns all spellings of a packet that fwknopd, or a careless
// reader of base64, takes for other packets.
func respelled(packet []byte, c spa.Client) [][]byte {
	text := string(packet)
	all := []string{saltText + text, "=" + text, "\n" + text, strings.ToLower(text), text[:len(text)-1],
		strings.NewReplacer("+", "-", "/", "_").Replace(text)}
	for _, tail := range []string{"=", "==", "===", "=A", "=junkjunk", "A", "\n", "\r\n", "\x00", " "} {
		all = append(all, text+tail)
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for _, r := range alphabet { // with the same bits that count among them
		all = append(all, string(r)+text[1:], text[:len(text)-1]+string(r))
		if c.HMAC != 0 { // the last character before the HMAC
			n := len(text) - macLen[c.HMAC]
			all = append(all, text[:n-1]+string(r)+text[n:])
		}
	}
	for i := 40; i < len(text); i += 40 {
		all = append(all, text[:i]+"\n"+text[i:], text[:i]+"="+text[i:])
	}
	packets := [][]byte{packet, resalt(packet, c), resalt(packet, c)}
	for _, s := range all {
		packets = append(packets, []byte(s))
	}
	return packets
}
