package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/delivery/onward"
	"github.com/habeas-data/habeas/services/disclosure"
	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/internal/mail"
	"github.com/habeas-data/habeas/services/internal/problem"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/suppression"
)

// ledgerOf is the ledger of who got which data, from a company's file.
func (r *runtime) ledgerOf(file *tenant.File, set *regimes.Set) (*disclosure.Ledger, error) {
	zone, err := set.Zone(r.Intake.Regime)
	if err != nil {
		return nil, err
	}
	return &disclosure.Ledger{
		Book: disclosure.NewBook(&file.Tenant, zone), Store: r.store, Keys: &suppression.List{Store: r.store, Vault: r.vault},
	}, nil
}

// openLedger opens the ledger when the company has a file, and returns nil
// otherwise. What the linter says of the file intake logs.
func (r *runtime) openLedger() (*disclosure.Ledger, error) {
	if r.ledger != nil || r.Intake.Tenant == "" {
		return r.ledger, nil
	}
	set, err := regimes.Load()
	if err != nil {
		return nil, err
	}
	file, err := tenant.Open(r.Intake.Tenant)
	if err != nil {
		return nil, err
	}
	r.ledger, err = r.ledgerOf(file, set)
	return r.ledger, err
}

// addLedger takes what the company's systems report to have given away.
func (r *runtime) addLedger(file *tenant.File, set *regimes.Set) error {
	if file == nil {
		return nil
	}
	var err error
	if r.ledger, err = r.ledgerOf(file, set); err != nil {
		return err
	}
	r.mounts["POST /v1/disclosures"] = r.protect(r.ledger.Handler(r.logger.With("room", "intake")))
	return nil
}

// companyName is the name of one that gives or gets data; "" when the company's
// file does not have it.
func (r *runtime) companyName(id string) string {
	if r.ledger == nil {
		return ""
	}
	to, _ := r.ledger.Book.Recipient(id)
	return to.Name
}

func (r *runtime) recipients() []disclosure.Recipient {
	if r.ledger == nil {
		return nil
	}
	return r.ledger.Book.Recipients()
}

// noRecipients answers who asks for notices where none are sent.
func noRecipients(w http.ResponseWriter, _ *http.Request) {
	problem.Write(w, http.StatusNotFound, "nobody is told of deletions and opt-outs here: it takes recipients in the company's file (intake.tenant), and intake.doors")
}

// addRecipients tells those who got data of deletions and opt-outs.
func (r *runtime) addRecipients(c doorsConfig, sender mail.Sender) error {
	if len(r.recipients()) == 0 {
		return nil
	}
	url := strings.TrimSuffix(c.URL, "/")
	if url == "" && r.listener != nil {
		url = "http://" + r.listener.Addr().String()
	}
	if url == "" {
		return errors.New("intake.doors: url is missing: notices to recipients link to it")
	}
	config := r.onwardConfig()
	config.Vault, config.Book, config.Mail, config.Company, config.Contact = r.vault, r.ledger.Book, sender, c.Brand.Company, c.Brand.Email
	config.URL, config.Secret, config.Client = url, r.intake.Pepper, &http.Client{Timeout: 20 * time.Second}
	o, err := onward.New(config)
	if err != nil {
		return err
	}
	r.group.Add("telling recipients", o.Run)
	r.mounts[onward.Base+"/"] = o.Handler()
	r.mounts["/v1/recipients/"] = r.protect(o.API(func(req *http.Request) string {
		return cmp.Or(request.ActorOf(req.Context()), req.Header.Get(intake.HeaderActor))
	}))
	return nil
}

// onwardConfig is what both need who tell recipients and who step in for them.
func (r *runtime) onwardConfig() onward.Config {
	return onward.Config{
		Store: r.store, Signer: r.intake.Signer, Logger: r.logger.With("room", "onward"),
		Publish: func(m *nats.Msg) error {
			_, err := r.js.PublishMsgAsync(m)
			return err
		},
		Hint: func(id request.ID) {
			// A hint that is lost costs a moment.
			_ = r.conn.Publish(wire.HintSubject("coordinator"), fmt.Appendf(nil, "[%q]", string(id)))
		},
	}
}

// recipientDesk is the console's desk for recipients.
type recipientDesk struct {
	*onward.Desk
	all []disclosure.Recipient
}

func (d recipientDesk) All() []disclosure.Recipient { return d.all }

func (r *runtime) recipientDesk() (recipientDesk, error) {
	desk, err := onward.NewDesk(r.onwardConfig())
	return recipientDesk{desk, r.recipients()}, err
}
