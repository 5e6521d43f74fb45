package main

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"knockd/internal/capture"
)

// slowPipe is a source that a test feeds; it does not end before that does.
type slowPipe chan []capture.Captured

func (p slowPipe) Next() ([]capture.Captured, error) {
	batch, ok := <-p
	if !ok {
		return nil, io.ErrUnexpectedEOF
	}
	return batch, nil
}

func (slowPipe) Close() error { return nil }

// TestUntilDone: after Ctrl-C a pipe may still say what it has; a file is over.
func TestUntilDone(t *testing.T) {
	two := make([]capture.Captured, 2)
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancel(t.Context())
		pipe := make(slowPipe, 3)
		s := untilDone(ctx, pipe, true)
		next := func(want int, wantErr error) {
			t.Helper()
			if got, err := s.Next(); len(got) != want || !errors.Is(err, wantErr) {
				t.Errorf("%d packets, %v; want %d, %v", len(got), err, want, wantErr)
			}
		}
		pipe <- two
		next(2, nil)
		time.AfterFunc(time.Hour, func() {
			interrupt()
			time.Sleep(lastWords / 2)
			pipe <- two[:1]
		})
		next(1, nil)
		begin := time.Now()
		next(0, io.EOF)
		if took := time.Since(begin); took != lastWords {
			t.Errorf("waited for %v", took)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		close(pipe)
	})
	ctx, interrupt := context.WithCancel(t.Context())
	pipe := make(slowPipe, 1)
	s := untilDone(ctx, pipe, false)
	pipe <- two
	if got, err := s.Next(); len(got) != 2 || err != nil {
		t.Errorf("%d packets, %v", len(got), err)
	}
	interrupt()
	if _, err := s.Next(); err != io.EOF {
		t.Errorf("%v", err)
	}
	pipe = make(slowPipe)
	close(pipe)
	if _, err := untilDone(t.Context(), pipe, true).Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
}
