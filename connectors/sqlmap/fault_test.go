package sqlmap

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// severed is a database whose next commit goes wrong: it does not happen, or
// it happens and the answer is lost.
type severed struct {
	dialect
	left    int
	happens bool
}

var errSevered = errors.New("connection of zero@example.com was reset")

func (s *severed) begin(ctx context.Context, db *sql.DB, write bool) (transaction, error) {
	tx, err := s.dialect.begin(ctx, db, write)
	if err != nil || !write || s.left == 0 {
		return tx, err
	}
	s.left--
	return &severedTx{tx, s.happens}, nil
}

type severedTx struct {
	transaction
	happens bool
}

// Commit implements transaction.
func (t *severedTx) Commit() error {
	if t.happens {
		return errors.Join(t.transaction.Commit(), errSevered)
	}
	return errors.Join(t.transaction.Rollback(), errSevered)
}

func TestCommitsThatGoWrong(t *testing.T) {
	for name, happens := range map[string]bool{"it did not happen": false, "the answer was lost": true} {
		t.Run(name, func(t *testing.T) {
			databases(t, func(t *testing.T, db *testDB) {
				db.exec(t, shop)
				c := db.connect(t, shopMap)
				c.d = &severed{dialect: c.d, left: 1, happens: happens}
				zero := email("zero@example.com")
				err := c.Erase(t.Context(), zero)
				if err == nil || sdk.IsPermanent(err) || strings.Contains(err.Error(), "zero@") {
					t.Fatalf("error %v, want one worth retrying that names nobody", err)
				}
				if found := located(t, c, zero); (len(found) == 0) != happens {
					t.Fatalf("located %v", found)
				}
				erase(t, c, zero)
				want(t, "left", db.dump(t, shopTables...), []string{
					"folders[4 <nil> 1 one root]", "folders[5 4 <nil> one child]",
					"orders[1 11 1 one]", "orders[2 10 1 one]", "people[1 one@example.com One]", "visits[one@example.com /a]",
				})
			})
		})
	}
}

// TestRowsThatDoNotGo has the database pass over rows without a word.
func TestRowsThatDoNotGo(t *testing.T) {
	for name, open := range map[string]struct {
		new     func(testing.TB) *testDB
		trigger string
	}{
		"sqlite": {newSQLite, "CREATE TRIGGER stays BEFORE DELETE ON visits WHEN old.email LIKE 'zero%' BEGIN SELECT RAISE(IGNORE); END"},
		"postgres": {newPostgres, `
CREATE FUNCTION stays() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF old.email LIKE ''zero%'' THEN RETURN NULL; END IF; RETURN old; END';
CREATE TRIGGER stays BEFORE DELETE ON visits FOR EACH ROW EXECUTE FUNCTION stays()`},
	} {
		t.Run(name, func(t *testing.T) {
			db := open.new(t)
			db.exec(t, shop)
			if _, err := db.plain.ExecContext(t.Context(), open.trigger); err != nil {
				t.Fatal(err)
			}
			before := db.dump(t, shopTables...)
			c := db.connect(t, shopMap)
			for _, err := range []error{c.Erase(t.Context(), email("zero@example.com")), errors.Join(c.EraseBatch(t.Context(), []sdk.Person{email("zero@example.com")})...)} {
				if err == nil || !strings.Contains(err.Error(), "collection visits: 0 rows were touched instead of 2; everything is rolled back") {
					t.Errorf("error %v", err)
				}
			}
			want(t, "tables", db.dump(t, shopTables...), before)
			erase(t, c, email("one@example.com"))
		})
	}
}
