package sourcetest

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
)

// Answer is what a stand-in answers in place of what was asked for.
type Answer struct {
	Status int
	Header map[string]string
	Body   string
}

// Fault is what happens to a request. It answers, or lets next do it.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Faults happen to the requests for data that a stand-in is sent.
type Faults struct {
	mu    sync.Mutex
	seen  int
	from  int
	times int // 0: from there on to all
	fault Fault
}

// Set makes a fault happen to so many requests from the n-th on, counted from 1 and
// from now; with times 0 to all of them. One fault is set at a time.
func (f *Faults) Set(n, times int, fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen, f.from, f.times, f.fault = 0, n, times, fault
}

// Clear begins to count anew, without a fault.
func (f *Faults) Clear() { f.Set(0, 0, nil) }

// Seen is how many requests there were since Set or Clear.
func (f *Faults) Seen() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

// Around lets the faults happen to what a handler is asked.
func (f *Faults) Around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.seen++
		fault := f.fault
		if f.seen < f.from || f.times > 0 && f.seen >= f.from+f.times {
			fault = nil
		}
		f.mu.Unlock()
		if fault == nil {
			next.ServeHTTP(w, r)
			return
		}
		fault(w, r, next)
	})
}

// Says answers in place of the vendor.
func Says(a Answer) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for name, value := range a.Header {
			w.Header()[name] = []string{value} // as spelled
		}
		w.WriteHeader(a.Status)
		_, _ = w.Write([]byte(a.Body))
	}
}

// Status answers with a status and a page of some machine in between.
func Status(code int) Fault {
	return Says(Answer{Status: code, Header: map[string]string{"Content-Type": "text/html"}, Body: "<html><h1>" + strconv.Itoa(code) + "</h1></html>"})
}

// Cut breaks the line off in the middle of the answer.
func Cut(w http.ResponseWriter, r *http.Request, next http.Handler) {
	whole := record(r, next)
	maps.Copy(w.Header(), whole.Header())
	w.Header().Set("Content-Length", strconv.Itoa(whole.Body.Len()))
	w.WriteHeader(whole.Code)
	_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
	panic(http.ErrAbortHandler)
}

// Half ends the answer in the middle, as if that were all of it.
func Half(w http.ResponseWriter, r *http.Request, next http.Handler) {
	whole := record(r, next)
	maps.Copy(w.Header(), whole.Header())
	w.Header().Del("Content-Length")
	w.WriteHeader(whole.Code)
	_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
}

// Instead answers well, with something else.
func Instead(body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}
}

// Before does something, and then all goes on.
func Before(do func()) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		do()
		next.ServeHTTP(w, r)
	}
}

// Hang sends the first half of the answer, tells that it did, and then nothing until
// the client goes.
func Hang(begun func()) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		whole := record(r, next)
		maps.Copy(w.Header(), whole.Header())
		w.Header().Set("Content-Length", strconv.Itoa(whole.Body.Len()))
		w.WriteHeader(whole.Code)
		_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
		_ = http.NewResponseController(w).Flush()
		begun()
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
}

func record(r *http.Request, next http.Handler) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	next.ServeHTTP(rec, r)
	return rec
}
