package spa

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"knockd/internal/nettest"
)

const (
	key32  = "9s2AdQWfW0+lxpIOnlU3UkIQ0xKrKLp7kEDULGJWWYA="
	hmac64 = "5Gy5I6QuD2THjCBxvenevkh61ixJmw63/jSkPvM20rirkJHxJ++d1LcSSjm3zZGZut+oGlZi6ejL9kqKD0PsZA=="
)

func TestParseKeys(t *testing.T) {
	for _, c := range []struct {
		name, src string
		hmac      Hash
		want      string
	}{
		{"as fwknop prints them", "KEY_BASE64: " + key32 + "\nHMAC_KEY_BASE64: " + hmac64 + "\n", SHA256, "default CBC 32 sha256 64"},
		{"without colons", "KEY_BASE64\t" + key32 + "\nHMAC_KEY_BASE64   " + hmac64, SHA256, "default CBC 32 sha256 64"},
		{"without padding, with ;", "KEY_BASE64 " + strings.TrimRight(key32, "=") + ";\nHMAC_KEY_BASE64 " + hmac64 + " ;\n", SHA512, "default CBC 32 sha512 64"},
		{"from a QR code, line by line", "KEY_BASE64:" + key32 + "\nHMAC_KEY_BASE64:" + hmac64, SHA256, "default CBC 32 sha256 64"},
		{"passphrases, CRLF, comments", "# who\r\n\r\n  KEY open sesame #17  \r\nHMAC_KEY: x\r\n", SHA256, "default CBC 15 sha256 1"},
		{"type named", "KEY a\nHMAC_KEY b\nHMAC_DIGEST_TYPE SHA3_512\n", SHA256, "default CBC 1 sha3_512 1"},
		{"no HMAC", "KEY a\n", 0, "default CBC 1 none 0"},
		{"HMAC though none is demanded", "KEY a\nHMAC_KEY b", 0, "default CBC 1 sha256 1"},
		{"legacy", "KEY a\nENCRYPTION_MODE legacy\n", 0, "default legacy 1 none 0"},
		{"mode in capitals", "KEY a\nENCRYPTION_MODE cbc;\nHMAC_KEY b", SHA1, "default CBC 1 sha1 1"},
		{"clients", "[laptop]\nKEY a\nHMAC_KEY b\n[ a.phone_2@x ]\nKEY c\nHMAC_KEY b\n", SHA256, "laptop CBC 1 sha256 1; a.phone_2@x CBC 1 sha256 1"},
		{"client and default", "KEY a\nHMAC_KEY b\n[phone]\nKEY c\nHMAC_KEY d\n", SHA256, "default CBC 1 sha256 1; phone CBC 1 sha256 1"},
		{"longest keys", "KEY " + strings.Repeat("k", 32) + "\nHMAC_KEY " + strings.Repeat("h", 128), SHA256, "default CBC 32 sha256 128"},

		{"empty", "# nothing\n", SHA256, "keys:1: has no key"},
		{"unknown name", "KEYS a\nKEY b\nHMAC_KEY c", SHA256, "keys:1: unknown name; known are KEY, KEY_BASE64, HMAC_KEY, HMAC_KEY_BASE64, HMAC_DIGEST_TYPE, ENCRYPTION_MODE"},
		{"no value", "KEY\n", SHA256, "keys:1: not NAME VALUE, [client] or a # comment"},
		{"twice", "KEY a\nKEY b\nHMAC_KEY c", SHA256, "keys:2: KEY: given before, in line 1"},
		{"raw and base64", "KEY a\nKEY_BASE64 " + key32 + "\nHMAC_KEY c", SHA256, "keys:2: KEY: given raw and as base64"},
		{"raw and base64, HMAC", "KEY a\nHMAC_KEY_BASE64 " + key32 + "\nHMAC_KEY c", SHA256, "keys:3: HMAC_KEY: given raw and as base64"},
		{"equal", "KEY secret-17\nHMAC_KEY secret-17", SHA256, "keys:1: client default: the keys for encryption and HMAC are equal"},
		{"equal in another form", "KEY a\nHMAC_KEY_BASE64 YQ==", SHA256, "keys:1: client default: the keys for encryption and HMAC are equal"},
		{"too long", "KEY " + strings.Repeat("k", 33) + "\nHMAC_KEY " + strings.Repeat("h", 129), SHA256,
			"keys:1: KEY: 33 octets long: must be at most 32\nkeys:2: HMAC_KEY: 129 octets long: must be at most 128"},
		{"no base64", "KEY_BASE64 a!b\nHMAC_KEY b", SHA256, "keys:1: KEY_BASE64: not base64"},
		{"base64 of nothing", "KEY_BASE64 ==\nHMAC_KEY b", SHA256, "keys:1: KEY_BASE64: empty"},
		{"semicolon in a key", "KEY a;b\nHMAC_KEY c", SHA256, "keys:1: KEY: a ; ends a value in fwknop's files; write the key as KEY_BASE64"},
		{"placeholder", "KEY __CHANGEME__\nHMAC_KEY c", SHA256, "keys:1: KEY: still the placeholder of fwknop's example"},
		{"no HMAC key", "KEY a\n", SHA256, "keys:1: client default has no HMAC_KEY; spa_hmac = none would take packets without"},
		{"no key", "[x]\nHMAC_KEY a\n", SHA256, "keys:1: client x has no KEY or KEY_BASE64"},
		{"HMAC type", "KEY a\nHMAC_KEY b\nHMAC_DIGEST_TYPE sha224", SHA256, "keys:3: HMAC_DIGEST_TYPE: must be one of " + HashNames},
		{"HMAC type without key", "KEY a\nHMAC_DIGEST_TYPE sha1", 0, "keys:2: HMAC_DIGEST_TYPE: client default has no HMAC_KEY"},
		{"mode", "KEY a\nHMAC_KEY b\nENCRYPTION_MODE CTR", SHA256, "keys:3: ENCRYPTION_MODE: must be CBC or legacy; fwknop's other modes are not supported"},
		{"legacy with HMAC", "KEY a\nHMAC_KEY b\nENCRYPTION_MODE legacy", SHA256, "keys:3: ENCRYPTION_MODE: legacy goes without HMAC in fwknop; take HMAC_KEY out or use CBC"},
		{"section name", "[a b]\nKEY a\nHMAC_KEY b", SHA256, "keys:1: section: must be [NAME], NAME of letters, digits and ._@-, 64 at most"},
		{"section not closed", "[a\nKEY a\nHMAC_KEY b", SHA256, "keys:1: section: must be [NAME], NAME of letters, digits and ._@-, 64 at most"},
		{"section twice", "[a]\nKEY a\nHMAC_KEY b\n[a]\nKEY c\nHMAC_KEY d", SHA256, "keys:4: section [a] is there already, in line 1"},
		{"too many", manyClients(1002), SHA256, "keys:3001: more than 1000 clients"},
		{"twins", "[a]\nKEY a\nHMAC_KEY b\n[b]\nKEY a\nHMAC_KEY b", SHA256, "keys:4: clients a and b have the same keys"},
	} {
		clients, err := ParseKeys("keys", []byte(c.src), c.hmac)
		var list []string
		for _, x := range clients {
			list = append(list, fmt.Sprintf("%v %v %d %v %d", x, x.Mode, len(x.Key), x.HMAC, len(x.HMACKey)))
		}
		got := strings.Join(list, "; ")
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
		for _, secret := range []string{"secret-17", key32[:9], hmac64[:9], "kkkkkkkkk"} {
			if strings.Contains(got, secret) {
				t.Errorf("%s: the text holds a key", c.name)
			}
		}
	}
}

func manyClients(n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, "[c%d]\nKEY a%d\nHMAC_KEY b\n", i, i)
	}
	return s.String()
}

func TestLoadKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ssh.keys")
	src := "KEY_BASE64: " + key32 + "\nHMAC_KEY_BASE64: " + hmac64 + "\n"
	nettest.Write(t, path, src)
	for _, c := range []struct {
		mode os.FileMode
		want string
	}{
		{0o600, ""},
		{0o400, ""},
		{0o644, path + ": mode 0644: must be 0600, since it holds keys"},
		{0o620, path + ": mode 0620: must be 0600, since it holds keys"},
		{0o604, path + ": mode 0604: must be 0600, since it holds keys"},
	} {
		os.Chmod(path, c.mode)
		clients, err := LoadKeys(path, SHA256)
		if got := textOf(err); got != c.want || c.want == "" && len(clients) != 1 {
			t.Errorf("%o: %q, want %q", c.mode, got, c.want)
		}
	}
	if _, err := LoadKeys(path+"-none", SHA256); textOf(err) != "read key file: open "+path+"-none: no such file or directory" {
		t.Error(err)
	}
	dir := t.TempDir()
	if _, err := LoadKeys(dir, SHA256); textOf(err) != dir+": not a regular file" {
		t.Error(err)
	}
}

// TestLoadKeysOfOthers: whoever owns the file could put other keys there. A
// pipe is refused, not waited for.
func TestLoadKeysOfOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ssh.keys")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKeys(path, SHA256); textOf(err) != path+": not a regular file" {
		t.Error(err)
	}
	nettest.NeedRoot(t)
	os.Remove(path)
	nettest.Write(t, path, "KEY_BASE64: "+key32+"\nHMAC_KEY_BASE64: "+hmac64+"\n")
	os.Chown(path, 65534, 0)
	const want = ": belongs to user 65534: must belong to root, or to the user that knockd runs as"
	if _, err := LoadKeys(path, SHA256); textOf(err) != path+want {
		t.Error(err)
	}
}

// TestNoKeyPrinted: no verb of fmt prints a key.
func TestNoKeyPrinted(t *testing.T) {
	c := testClient("laptop")
	c.Key, c.HMACKey = []byte("aaaa-secret"), []byte("bbbb-secret")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, x := range []any{c, &c, []Client{c}, wideDoor(c), *wideDoor(c)} {
			text := fmt.Sprintf(verb, x)
			if strings.Contains(text, "secret") || strings.Contains(text, fmt.Sprint([]byte("secret"))[1:20]) || strings.Contains(text, "0x73, 0x65, 0x63") {
				t.Errorf("%s of %T: %s", verb, x, text)
			}
		}
	}
}

func TestAdvice(t *testing.T) {
	clients, err := ParseKeys("keys", []byte("KEY a\nENCRYPTION_MODE legacy"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(clients[0].Advice()); n != 3 {
		t.Errorf("%d advices", n)
	}
	if a := NewClient("x", SHA256).Advice(); a != nil {
		t.Errorf("advice on fresh keys: %v", a)
	}
}

func TestNewClient(t *testing.T) {
	for hmac, size := range map[Hash]int{MD5: 16, SHA1: 20, SHA256: 64, SHA384: 128, SHA512: 128, SHA3_256: 64, SHA3_512: 64} {
		c := NewClient("x", hmac)
		if len(c.Key) != 32 || len(c.HMACKey) != size {
			t.Errorf("%v: %d and %d octets", hmac, len(c.Key), len(c.HMACKey))
		}
		got, err := ParseKeys("keys", []byte("[x]\n"+c.KeyLines()), SHA256)
		if err != nil || !sameKeys(&got[0], &c) {
			t.Errorf("%v: %v", hmac, err)
		}
	}
	c := Client{Key: []byte("abc"), HMACKey: []byte("defg"), HMAC: SHA256}
	if got, want := c.QRText(), "KEY_BASE64:YWJj HMAC_KEY_BASE64:ZGVmZw=="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
