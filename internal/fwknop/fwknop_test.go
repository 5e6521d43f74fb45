package fwknop

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"knockd/internal/spa"
)

var update = flag.Bool("update", false, "rewrite the expected results")

const etc = "/etc/fwknop/"

// memFiles are files by their path.
type memFiles map[string]string

func (m memFiles) Read(name string) ([]byte, error) {
	if text, ok := m[name]; ok {
		return []byte(text), nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (m memFiles) List(dir string) (names []string, err error) {
	for name := range m {
		if path.Dir(name) == strings.TrimSuffix(dir, "/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// load returns a case's files, under dir, and the path of fwknopd.conf if it has
// one.
func load(t *testing.T, file, dir string) (a *txtar.Archive, files memFiles, conf string) {
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	files = memFiles{}
	for _, f := range a.Files {
		if !strings.HasPrefix(f.Name, "want.") {
			files[dir+f.Name] = strings.ReplaceAll(string(f.Data), etc, dir)
		}
	}
	if _, ok := files[dir+"fwknopd.conf"]; ok {
		conf = dir + "fwknopd.conf"
	}
	return a, files, conf
}

// results are the texts made of a case, by the names in its archive.
func results(i *Import, err error) []txtar.File {
	if err != nil {
		return []txtar.File{{Name: "want.err", Data: []byte(err.Error() + "\n")}}
	}
	var keys strings.Builder
	for _, d := range i.Doors {
		fmt.Fprintf(&keys, "==> %s\n%s", d.KeyFile("/etc/knockd"), d.Keys)
	}
	return []txtar.File{
		{Name: "want.conf", Data: []byte(i.Config("/etc/knockd"))},
		{Name: "want.keys", Data: []byte(keys.String())},
		{Name: "want.report", Data: []byte(i.Report())},
	}
}

func TestRead(t *testing.T) {
	cases, _ := filepath.Glob("testdata/*.txtar")
	if len(cases) < 20 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, files, conf := load(t, file, etc)
			i, err := Read(etc+"access.conf", conf, files)
			got := results(i, err)
			if *update {
				a.Files = append(slices.DeleteFunc(a.Files, func(f txtar.File) bool { return strings.HasPrefix(f.Name, "want.") }), got...)
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			var want []txtar.File
			for _, f := range a.Files {
				if strings.HasPrefix(f.Name, "want.") {
					want = append(want, f)
				}
			}
			if diff := cmp.Diff(text(want), text(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if err == nil {
				doors(t, i)
				noKeys(t, i)
			}
		})
	}
}

func text(files []txtar.File) string {
	return string(txtar.Format(&txtar.Archive{Files: files}))
}

// elsewhere are keys that are not the gate's.
var elsewhere = []string{"start_command", "stop_command", "nat_masquerade", "spa_transport", "new"}

// doors makes the doors that the configuration says, as knockd does.
func doors(t *testing.T, i *Import) []*spa.Door {
	t.Helper()
	var all []*spa.Door
	for _, d := range i.Doors {
		door := spa.NewDoor(d.Name)
		for _, s := range d.Settings {
			if slices.Contains(elsewhere, s.Key) {
				continue
			}
			if err := door.Set(s.Key, s.Value); err != nil {
				t.Errorf("[%s] %s: %v", d.Name, s.Key, err)
			}
		}
		var err error
		if door.Clients, err = spa.ParseKeys(d.Name, []byte(d.Keys), door.HMAC); err != nil {
			t.Error(err)
		}
		all = append(all, door)
	}
	return all
}

// noKeys checks that keys stand in key files alone.
func noKeys(t *testing.T, i *Import) {
	t.Helper()
	for _, d := range doors(t, i) {
		for _, c := range d.Clients {
			for _, key := range []string{string(c.Key), string(c.HMACKey)} {
				if len(key) > 4 && (strings.Contains(i.Report(), key) || strings.Contains(i.Config("/etc/knockd"), key)) {
					t.Errorf("[%s]: a key stands in the report or the configuration", d.Name)
				}
			}
		}
	}
}

// FuzzRead: never an import beside an error, and every door can be set up.
func FuzzRead(f *testing.F) {
	cases, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range cases {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var in [2]string
		for _, x := range a.Files {
			switch x.Name {
			case "access.conf":
				in[0] = string(x.Data)
			case "fwknopd.conf":
				in[1] = string(x.Data)
			}
		}
		f.Add(in[0], in[1])
	}
	f.Fuzz(func(t *testing.T, access, conf string) {
		i, err := Read("a", "c", memFiles{"a": access, "c": conf})
		if (err == nil) == (i == nil) {
			t.Fatalf("%v beside %v", i, err)
		}
		if err == nil {
			doors(t, i)
			i.Config("/d")
			i.Report()
		}
	})
}
