package journal

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var comparable1 = cmp.AllowUnexported(Opening{})

// FuzzReplay: whatever the file holds, reading it does not panic, counts whole
// lines only, and what was read reads the same when written anew.
func FuzzReplay(f *testing.F) {
	text := appendLine(nil, (&Opening{ID: 7, Opening: closedBy("stop", time.Minute), boot: "b", Begun: 1}).line())
	text = appendLine(text, line{Do: doOpen, ID: 7, At: 2})
	text = appendLine(text, line{Do: doStopping, ID: 7})
	text = appendLine(text, line{Do: doKeep})
	f.Add(text)
	f.Add(append(text, "junk"...))
	f.Add([]byte("00000000 \n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p := replay(text)
		if p.size > int64(len(text)) || p.size > 0 && text[p.size-1] != '\n' {
			t.Fatalf("size %d of %d", p.size, len(text))
		}
		j := Journal{live: p.live, keep: p.keep}
		again := j.present()
		q := replay(again)
		if q.damaged != 0 || q.keep != p.keep || q.size != int64(len(again)) {
			t.Errorf("written anew: %d damaged, keep %v, size %d of %d", q.damaged, q.keep, q.size, len(again))
		}
		if diff := cmp.Diff(p.live, q.live, comparable1, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Error(diff)
		}
	})
}

// FuzzRecord: any text of a configuration comes back byte for byte, and no
// record is more than one line.
func FuzzRecord(f *testing.F) {
	f.Add("iptables -D INPUT -s 192.0.2.1", "ssh", int64(time.Second))
	f.Add("a\n\x00\xff\u2028<>&\"\\", "\n", int64(-1))
	f.Fuzz(func(t *testing.T, stop, door string, timeout int64) {
		r := closedBy(stop, time.Duration(timeout))
		r.Door.Name, r.Action, r.Args.Value = door, "xt_recent", stop
		r.Vars.Door = door
		uid := uint32(timeout)
		r.UID = &uid
		text := appendLine(nil, (&Opening{ID: 1, Opening: r}).line())
		p := replay(text)
		r.Timeout = max(r.Timeout, 0)
		if p.damaged != 0 || p.size != int64(len(text)) || len(p.live) != 1 {
			t.Fatalf("%q: %+v", text, p)
		}
		got := p.live[1].Opening
		if got.UID == nil || *got.UID != uid {
			t.Errorf("user %v, want %d", got.UID, uid)
		}
		if got.UID = r.UID; got != r {
			t.Errorf("got %+v, want %+v", got, r)
		}
	})
}
