package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// The console reaches the delivery room in its own process and over the network
// alike, and takes its answers for what they mean.
func TestConsoleReachesDelivery_KN4(t *testing.T) {
	var status atomic.Int64 // what the room answers
	var got atomic.Value    // what it was asked
	room := http.NewServeMux()
	answers := func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		got.Store(req.Method + " " + req.PathValue("id") + " " + req.Header.Get("Authorization") + " " + req.Header.Get("Habeas-Actor") + " " + string(body))
		answer := int(status.Load())
		w.WriteHeader(answer)
		if answer == http.StatusOK {
			_, _ = io.WriteString(w, "paper")
		}
	}
	// Staff see copies that wait for a look, too; the person's own way would refuse them.
	room.HandleFunc("GET /v1/requests/{id}/package/review", answers)
	room.HandleFunc("POST /v1/requests/{id}/package", answers)
	server := httptest.NewServer(room)
	t.Cleanup(server.Close)
	id := request.NewID()
	ctx := request.WithActor(t.Context(), "ana")
	for name, r := range map[string]*runtime{
		"in the same process": {token: "secret", delivery: room},
		"over the network":    {token: "secret", config: config{Delivery: deliveryConfig{URL: server.URL + "/"}}},
	} {
		answers := r.mailAnswers()
		status.Store(http.StatusOK)
		body, _, err := answers.Open(ctx, id)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if text, err := io.ReadAll(body); err != nil || string(text) != "paper" || got.Load() != "GET "+string(id)+" Bearer secret ana " {
			t.Errorf("%s: %q, %v; asked %s", name, text, err, got.Load())
		}
		if err := body.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		status.Store(http.StatusNoContent)
		err = answers.Posted(ctx, id, request.Mailed{On: request.Date{Year: 2026, Month: 6, Day: 15}, Tracking: "1Z"})
		if want := "POST " + string(id) + ` Bearer secret ana {"on":"2026-06-15","tracking":"1Z"}`; err != nil || got.Load() != want {
			t.Errorf("%s: %v; asked %s, want %s", name, err, got.Load(), want)
		}
		for answer, want := range map[int][2]error{
			http.StatusNotFound: {store.ErrNotFound, store.ErrNotFound},
			http.StatusConflict: {request.ErrNoPackage, request.ErrNotForMail},
			http.StatusGone:     {request.ErrNoPackage, request.ErrNotForMail},
		} {
			status.Store(int64(answer))
			if _, _, err := answers.Open(ctx, id); !errors.Is(err, want[0]) {
				t.Errorf("%s, %d: opening: %v", name, answer, err)
			}
			if err := answers.Posted(ctx, id, request.Mailed{}); !errors.Is(err, want[1]) {
				t.Errorf("%s, %d: posting: %v", name, answer, err)
			}
		}
		status.Store(http.StatusServiceUnavailable)
		if _, _, err := answers.Open(ctx, id); err == nil {
			t.Errorf("%s: a room that does not work is none of an error", name)
		}
	}
	if (&runtime{}).mailAnswers() != nil {
		t.Error("a delivery room is known and there is none")
	}
}
