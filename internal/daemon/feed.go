package daemon

import "knockd/internal/capture"

// feed reads a source in a goroutine of its own and hands over batch by
// batch: the next is read only when the last one is done with, since both
// share their memory.
type feed struct {
	source  capture.Source
	batches chan []capture.Captured
	failed  chan error
	next    chan struct{}
	quit    chan struct{}
	ended   chan struct{}
}

func startFeed(source capture.Source) *feed {
	f := &feed{
		source:  source,
		batches: make(chan []capture.Captured),
		failed:  make(chan error, 1),
		next:    make(chan struct{}, 1),
		quit:    make(chan struct{}),
		ended:   make(chan struct{}),
	}
	go f.run()
	return f
}

func (f *feed) run() {
	defer close(f.ended)
	for {
		batch, err := f.source.Next()
		if err != nil {
			f.failed <- err
			return
		}
		select {
		case f.batches <- batch:
		case <-f.quit:
			return
		}
		select {
		case <-f.next:
		case <-f.quit:
			return
		}
	}
}

// done says that the last batch is not needed any more.
func (f *feed) done() { f.next <- struct{}{} }

// stop ends the reading; it closes the source.
func (f *feed) stop() {
	close(f.quit)
	f.source.Close()
	<-f.ended
}
