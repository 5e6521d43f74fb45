package spa

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"errors"
	"strings"
)

// Mode is how a packet is encrypted.
type Mode uint8

// The modes this project takes. In Legacy a key shorter than 16 octets is
// filled up with the digit 0 and a longer one is cut; fwknop has no HMAC there.
const (
	CBC Mode = iota
	Legacy
)

// String returns the name as fwknop writes it.
func (m Mode) String() string {
	if m == Legacy {
		return "legacy"
	}
	return "CBC"
}

var errMode = errors.New("must be CBC or legacy; fwknop's other modes are not supported")

// ParseMode reads the name of a mode, in any case.
func ParseMode(name string) (Mode, error) {
	switch strings.ToLower(name) {
	case "cbc":
		return CBC, nil
	case "legacy":
		return Legacy, nil
	}
	return 0, errMode
}

const (
	saltMark = "Salted__"   // what openssl enc writes in front of the salt
	cutText  = "U2FsdGVkX1" // the base64 of its first 60 bits, never sent
	saltSize = 8
)

// The errors of opening a packet, without anything of its content.
var (
	errBase64  = errors.New("not strict base64")
	errSalted  = errors.New("no salt in front")
	errBlocks  = errors.New("not whole blocks")
	errPadding = errors.New("wrong padding")
	errKey     = errors.New("does not decrypt with this key")
)

// derive is OpenSSL's EVP_BytesToKey with MD5 and one round: 32 octets of key,
// 16 of IV.
func derive(key, salt []byte) (aesKey, iv []byte) {
	buf := make([]byte, 0, md5.Size+len(key)+len(salt))
	out := make([]byte, 0, 3*md5.Size)
	var last []byte
	for len(out) < 3*md5.Size {
		buf = append(append(append(buf[:0], last...), key...), salt...)
		sum := md5.Sum(buf)
		out = append(out, sum[:]...)
		last = out[len(out)-md5.Size:]
	}
	return out[:32], out[32:48]
}

// modeKey returns the key's octets as the derivation gets them.
func modeKey(m Mode, key []byte) []byte {
	if m != Legacy {
		return key
	}
	k := bytes.Repeat([]byte("0"), 16)
	copy(k, key)
	return k
}

// decrypt opens the text of a packet, HMAC and cut-off front not included.
// Everything is strict: spare bits, the mark, whole blocks, padding.
func decrypt(m Mode, key, text []byte) ([]byte, error) {
	raw := make([]byte, b64.DecodedLen(len(cutText)+len(text)))
	if _, err := b64.Decode(raw, append([]byte(cutText), text...)); err != nil {
		return nil, errBase64
	}
	ct, ok := bytes.CutPrefix(raw, []byte(saltMark))
	if !ok || len(ct) < saltSize {
		return nil, errSalted
	}
	salt, ct := ct[:saltSize], ct[saltSize:]
	if len(ct) < 2*aes.BlockSize || len(ct)%aes.BlockSize != 0 {
		return nil, errBlocks
	}
	aesKey, iv := derive(modeKey(m, key), salt)
	block, err := aes.NewCipher(aesKey)
	if err != nil {
		return nil, err
	}
	return decryptBlocks(cipher.NewCBCDecrypter(block, iv), ct)
}

// decryptBlocks decrypts in place, the first block before the others: it holds
// the 16 digits that say whether the key is right.
func decryptBlocks(mode cipher.BlockMode, ct []byte) ([]byte, error) {
	mode.CryptBlocks(ct[:aes.BlockSize], ct[:aes.BlockSize])
	if !allDigits(ct[:aes.BlockSize]) {
		return nil, errKey
	}
	mode.CryptBlocks(ct[aes.BlockSize:], ct[aes.BlockSize:])
	if ct[aes.BlockSize] != ':' {
		return nil, errKey
	}
	return unpad(ct)
}

// unpad takes PKCS#7 padding off (RFC 5652, 6.3).
func unpad(text []byte) ([]byte, error) {
	n := int(text[len(text)-1])
	if n < 1 || n > aes.BlockSize {
		return nil, errPadding
	}
	end := len(text) - n
	for _, c := range text[end:] {
		if int(c) != n {
			return nil, errPadding
		}
	}
	return text[:end], nil
}

// encrypt is decrypt's reverse.
func encrypt(m Mode, key, salt, text []byte) ([]byte, error) {
	aesKey, iv := derive(modeKey(m, key), salt)
	block, err := aes.NewCipher(aesKey)
	if err != nil {
		return nil, err
	}
	n := aes.BlockSize - len(text)%aes.BlockSize
	ct := append(bytes.Clone(text), bytes.Repeat([]byte{byte(n)}, n)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(ct, ct)
	raw := append(append([]byte(saltMark), salt...), ct...)
	return b64.AppendEncode(nil, raw)[len(cutText):], nil
}

func allDigits[T ~string | ~[]byte](s T) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) > 0
}
