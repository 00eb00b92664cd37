package sqlmap

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// vectors opens a file of the shared vectors: from HABEAS_VECTORS, or from
// beside the repository.
func vectors(t testing.TB, name string) []byte {
	t.Helper()
	dir := cmp.Or(os.Getenv("HABEAS_VECTORS"), filepath.Join("..", "..", "..", "shared", "vectors"))
	data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("vectors are needed in CI; set HABEAS_VECTORS: %v", err)
		}
		t.Skipf("no vectors: %v", err)
	}
	return data
}

type fidesVectors struct {
	Traversal []struct {
		Name     string
		Source   string
		Identity map[string]string
		Incoming map[string]map[string][]string
		Error    string
		Message  string
	}
	AccessRows []struct {
		Identity map[string]string
		Rows     map[string][]map[string]any
	} `json:"access_rows"`
}

func loadVectors(t testing.TB) fidesVectors {
	t.Helper()
	var v fidesVectors
	if err := json.Unmarshal(vectors(t, "fides.json"), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestFidesTraversal compares the links our graph follows with the edges the
// peer's own traversal has, for its dataset files.
func TestFidesTraversal(t *testing.T) {
	for _, v := range loadVectors(t).Traversal {
		file := filepath.Base(v.Source)
		if !strings.HasSuffix(file, ".yml") {
			continue // not a file but a passage of the peer's tests
		}
		t.Run(v.Name, func(t *testing.T) {
			m, err := ParseMap(file, vectors(t, "fides/"+file))
			if v.Error != "" {
				if err == nil || !strings.Contains(err.Error(), strings.ToLower(v.Message[:1])+v.Message[1:]) {
					t.Fatalf("got error %v, want %s", err, v.Message)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			g, err := compile(m)
			if err != nil {
				t.Fatal(err)
			}
			var kinds []sdk.Kind
			for k := range v.Identity {
				kinds = append(kinds, sdk.Kind(k))
			}
			on := g.active(kinds)
			var got, wanted []string
			for _, l := range g.links {
				switch {
				case !on[l.id]:
				case l.seed():
					got = append(got, l.to.c.name+" __ROOT__:__ROOT__ "+string(l.kind)+" -> "+l.to.name)
				default:
					got = append(got, l.to.c.name+" "+l.from.c.name+" "+l.from.name+" -> "+l.to.name)
				}
			}
			for to, from := range v.Incoming {
				for source, edges := range from {
					for _, e := range edges {
						wanted = append(wanted, to+" "+source+" "+e)
					}
				}
			}
			slices.Sort(got)
			slices.Sort(wanted)
			want(t, "links", got, wanted)
		})
	}
}

const peerDataset = "fides/postgres_example_test_dataset.yml"

func peerDatabase(t *testing.T) *testDB {
	t.Helper()
	db := newPostgres(t)
	if _, err := db.plain.ExecContext(t.Context(), string(vectors(t, "fides/postgres_sample.sql"))); err != nil {
		t.Fatal(err)
	}
	return db
}

// TestFidesAccessRows compares the rows our walk reaches with those the peer
// reads, by collection.
func TestFidesAccessRows(t *testing.T) {
	v := loadVectors(t)
	db := peerDatabase(t)
	c := db.connect(t, string(vectors(t, peerDataset)))
	p, err := c.bound(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, access := range v.AccessRows {
		person := sdk.NewPerson()
		for k, value := range access.Identity {
			person = person.With(sdk.ID(sdk.Kind(k), value))
		}
		w := newWalk(p, c.db, person.Kinds(), false)
		reaches, err := w.run(t.Context(), []sdk.Person{person})
		if err != nil {
			t.Fatal(err)
		}
		counts := map[string]int{}
		for _, v := range reaches[0].order {
			counts[v.row.c.spec.Name]++
		}
		for name, rows := range access.Rows {
			if counts[name] != len(rows) {
				t.Errorf("%v: collection %s: reached %d rows, want %d", access.Identity, name, counts[name], len(rows))
			}
		}
	}
}

// TestFidesSharedRows has the peer's worst defect come out right: what other
// people reach as well is held, and reported.
func TestFidesSharedRows(t *testing.T) {
	db := peerDatabase(t)
	c := db.connect(t, string(vectors(t, peerDataset)))
	customer := email("customer-1@example.com")
	want(t, "located", located(t, c, customer), []string{
		"address 2 shared-record", "customer 1", "login 6", "orders 3", "order_item 4", "payment_card 1", "service_request 1 shared-record", "visit 1",
	})
	tables := []string{"address", "customer", "employee", "login", "orders", "order_item", "payment_card", "product", "report", "service_request", "visit", "composite_pk_test"}
	others := slices.DeleteFunc(db.dump(t, tables...), func(line string) bool {
		return strings.HasPrefix(line, "customer[1 ") || strings.HasPrefix(line, "visit[customer-1@") ||
			strings.HasPrefix(line, "payment_card[pay_aaa") || strings.HasPrefix(line, "orders[ord_aaa") || strings.HasPrefix(line, "orders[ord_ccc") || strings.HasPrefix(line, "orders[ord_ddd-ddd") ||
			strings.HasPrefix(line, "order_item[ord_aaa") || strings.HasPrefix(line, "order_item[ord_ccc") || strings.HasPrefix(line, "order_item[ord_ddd-ddd") ||
			strings.HasPrefix(line, "login[") && strings.Contains(line, " 1 2021")
	})
	erase(t, c, customer)
	want(t, "everybody else", db.dump(t, tables...), others)
	erase(t, c, customer)
}
