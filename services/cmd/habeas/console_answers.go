package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/habeas-data/habeas/services/console"
	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// mailAnswers reaches the delivery room for the console, for answers to be mailed and
// copies to be looked at: in this process where it
// runs here, and else over the network.
type mailAnswers struct {
	url, token string
	transport  http.RoundTripper
}

var _ console.Answers = mailAnswers{}

// mailAnswers returns nil where no delivery room is known.
func (r *runtime) mailAnswers() console.Answers {
	switch {
	case r.delivery != nil:
		return mailAnswers{"http://delivery", r.token, inProcess{r.delivery}}
	case r.Delivery.URL != "":
		return mailAnswers{strings.TrimSuffix(r.Delivery.URL, "/"), r.token, http.DefaultTransport}
	default:
		return nil
	}
}

func (a mailAnswers) call(ctx context.Context, method, below string, id request.ID, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.url+"/v1/requests/"+string(id)+"/package"+below, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("asking the delivery room: %w", err)
	}
	req.SetPathValue("id", string(id))
	req.Header.Set("Authorization", "Bearer "+a.token)
	if who := request.ActorOf(ctx); who != "" {
		req.Header.Set(intake.HeaderActor, who)
	}
	resp, err := a.transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("asking the delivery room: %w", err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusNotFound:
		return nil, fmt.Errorf("asking the delivery room: %w", store.ErrNotFound)
	case http.StatusConflict, http.StatusGone:
		if method == http.MethodPost {
			return nil, fmt.Errorf("asking the delivery room: %w", request.ErrNotForMail)
		}
		return nil, fmt.Errorf("asking the delivery room: %w", request.ErrNoPackage)
	default:
		return nil, fmt.Errorf("asking the delivery room: it answered %s", resp.Status)
	}
}

// Open implements [console.Answers].
func (a mailAnswers) Open(ctx context.Context, id request.ID) (io.ReadCloser, int64, error) {
	resp, err := a.call(ctx, http.MethodGet, "/review", id, nil)
	if err != nil {
		return nil, 0, err
	}
	return resp.Body, resp.ContentLength, nil
}

// Posted implements [console.Answers].
func (a mailAnswers) Posted(ctx context.Context, id request.ID, m request.Mailed) error {
	body, err := json.Marshal(map[string]string{"on": m.On.String(), "tracking": m.Tracking})
	if err != nil {
		return fmt.Errorf("asking the delivery room: %w", err)
	}
	resp, err := a.call(ctx, http.MethodPost, "", id, body)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
