package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "knockd.conf")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) || err.Error() != "read configuration: open "+path+": no such file or directory" {
		t.Errorf("missing file: %v", err)
	}
	if err := os.WriteFile(path, []byte("[a]\nsequence = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil || len(c.Doors) != 1 || c.Doors[0].Place != (Place{path, 1}) {
		t.Errorf("%+v, %v", c, err)
	}
}
