package config

import (
	"archive/tar"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
)

// Files is what a configuration was read from: its file and drop-ins, packed,
// for they are kept as long as it is in use.
type Files struct {
	// Fingerprint is the same for the same texts in drop-ins of the same names,
	// wherever they are.
	Fingerprint string
	packed      []byte
}

// Texts are the texts of a configuration's files.
type Texts struct {
	Main    []byte
	DropIns []DropIn // in the order in which they are read
}

// DropIn is the text of a drop-in, and its name in the directory.
type DropIn struct {
	Name string
	Text []byte
}

// pack never fails: what is written to is memory.
func pack(main []byte, dropIns []source) *Files {
	texts := Texts{Main: main}
	for _, s := range dropIns {
		texts.DropIns = append(texts.DropIns, DropIn{filepath.Base(s.name), s.text})
	}
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, flate.BestSpeed)
	archive := tar.NewWriter(w)
	for _, file := range append([]DropIn{{mainName, main}}, texts.DropIns...) {
		archive.WriteHeader(&tar.Header{Name: file.Name, Size: int64(len(file.Text)), Format: tar.FormatPAX})
		archive.Write(file.Text)
	}
	archive.Close()
	w.Close()
	return &Files{texts.fingerprint(), out.Bytes()}
}

func (t *Texts) fingerprint() string {
	h := sha256.New()
	fmt.Fprintf(h, "%d\n%s", len(t.Main), t.Main)
	for _, d := range t.DropIns {
		fmt.Fprintf(h, "%q %d\n%s", d.Name, len(d.Text), d.Text)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Texts returns what was read.
func (f *Files) Texts() (*Texts, error) {
	t := &Texts{}
	archive := tar.NewReader(flate.NewReader(bytes.NewReader(f.packed)))
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		var text []byte
		if err == nil {
			text, err = io.ReadAll(archive)
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("unpack the configuration: %w", err)
		case header.Name == mainName:
			t.Main = text
		default:
			t.DropIns = append(t.DropIns, DropIn{header.Name, text})
		}
	}
}

// mainName is no name of a drop-in.
const mainName = "main"
