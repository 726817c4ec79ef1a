// Package pki owns the keys and certificates of a cluster: its certificate
// authorities, the key that signs service account tokens, and every serving
// and client certificate that this machine holds.
//
// Everything lies in one directory (0700), one file (0600) per identity with
// the certificate and its private key together, so that a pair can never be
// torn apart by a crash. Files are written whole (temporary file, fsync,
// rename) and loaded again on later starts.
//
// Invariants: private keys never leave the directory or the process; a
// certificate is replaced long before it expires, while the process runs;
// whoever serves or dials takes the certificate from a Certificate at every
// handshake, and so never holds an old one.
//
// Keys are ECDSA P-256 (RFC 5480), certificates X.509 v3 (RFC 5280).
package pki

import (
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/knarr-io/knarr/internal/base/remedy"
)

const (
	clusterCAFile    = "ca.pem"
	frontProxyCAFile = "front-proxy-ca.pem"
	serviceAccount   = "service-account.pem"

	defaultCALife   = 10 * 365 * 24 * time.Hour
	defaultLeafLife = 365 * 24 * time.Hour
	// backdate lets machines whose clocks run a little behind accept a new
	// certificate.
	backdate = 5 * time.Minute
)

// begin is when a certificate begins that is made now and lives for so long.
func begin(now time.Time, life time.Duration) time.Time { return now.Add(-min(backdate, life/10)) }

// Options say where and how long.
type Options struct {
	// Dir holds the files; it is made with mode 0700 where it is missing.
	Dir string
	// CALife and LeafLife are the lifetimes of new certificates; zero means
	// ten years and one year.
	CALife, LeafLife time.Duration
	// Orders are the certificates wanted from the start: at a first start
	// everything is written in one go. Certificates gives them out.
	Orders []Order
	Logger *slog.Logger
}

// Authority issues and keeps the certificates of one directory. Only one
// process at a time may have a directory open. Safe for concurrent use.
type Authority struct {
	dir      string
	leafLife time.Duration
	logger   *slog.Logger

	cluster, frontProxy *CA
	signing             *ecdsa.PrivateKey
	// changed wakes Run when a certificate was added.
	changed chan struct{}
	renewed chan struct{}

	mu struct {
		sync.Mutex
		certificates map[string]*Certificate
	}
}

// Open loads the authorities and the signing key of a directory and makes
// those that are missing. A file that is there and cannot be understood is an
// error, never replaced: that would cut every client off. So is a clock that
// stands before an authority's beginning.
func Open(opts Options) (*Authority, error) {
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("certificate directory: %w", err)
	}
	if err := os.Chmod(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("certificate directory: %w", err)
	}
	if opts.CALife == 0 {
		opts.CALife = defaultCALife
	}
	if opts.LeafLife == 0 {
		opts.LeafLife = defaultLeafLife
	}
	a := &Authority{dir: opts.Dir, leafLife: opts.LeafLife, logger: opts.Logger, changed: make(chan struct{}, 1), renewed: make(chan struct{}, 1)}
	a.mu.certificates = map[string]*Certificate{}
	files, err := a.load(opts.CALife)
	if err != nil {
		return nil, err
	}
	_, fresh, err := a.certificates(opts.Orders)
	if err != nil {
		return nil, err
	}
	return a, writeFiles(a.dir, append(files, fresh...))
}

// load reads the three roots, makes those that are missing and returns what
// is to be written.
func (a *Authority) load(caLife time.Duration) (files []file, err error) {
	if a.cluster, files, err = a.loadCA(clusterCAFile, "kubernetes", caLife, files); err != nil {
		return nil, err
	}
	if a.frontProxy, files, err = a.loadCA(frontProxyCAFile, "front-proxy-ca", caLife, files); err != nil {
		return nil, err
	}
	a.signing, files, err = a.loadSigningKey(files)
	return files, err
}

func (a *Authority) loadCA(name, commonName string, life time.Duration, files []file) (*CA, []file, error) {
	data, err := os.ReadFile(filepath.Join(a.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		ca, pair, err := newCA(commonName, life)
		if err != nil {
			return nil, nil, fmt.Errorf("new certificate authority %s: %w", commonName, err)
		}
		return ca, append(files, file{name, pair}), nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("certificate authority: %w", err)
	}
	cert, key, err := parsePair(data)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate authority %s: %w", filepath.Join(a.dir, name), err)
	}
	if now := time.Now(); now.Before(cert.NotBefore) { // nothing that it signs would be believed
		return nil, nil, remedy.For(fmt.Errorf("this machine's clock says %s, and the cluster's authority began %s", now.UTC().Format(time.DateTime), cert.NotBefore.UTC().Format(time.DateTime)),
			"set the clock: timedatectl tells how it stands")
	}
	return caOf(cert, key), files, nil
}

func (a *Authority) loadSigningKey(files []file) (*ecdsa.PrivateKey, []file, error) {
	data, err := os.ReadFile(filepath.Join(a.dir, serviceAccount))
	if errors.Is(err, fs.ErrNotExist) {
		key, err := newKey()
		if err != nil {
			return nil, nil, fmt.Errorf("new service account key: %w", err)
		}
		encoded, err := encodeKey(key)
		return key, append(files, file{serviceAccount, encoded}), err
	}
	if err != nil {
		return nil, nil, fmt.Errorf("service account key: %w", err)
	}
	key, err := parseKey(data)
	if err != nil {
		return nil, nil, fmt.Errorf("service account key %s: %w", filepath.Join(a.dir, serviceAccount), err)
	}
	return key, files, nil
}

// ClusterCA signs all certificates but the front proxy's.
func (a *Authority) ClusterCA() *CA { return a.cluster }

// FrontProxyCA signs the certificate with which the API server vouches for
// users in requests that it passes on to extension servers.
func (a *Authority) FrontProxyCA() *CA { return a.frontProxy }

// ServiceAccountKey signs service account tokens.
func (a *Authority) ServiceAccountKey() *ecdsa.PrivateKey { return a.signing }

// CA is a certificate authority. It is immutable.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func caOf(cert *x509.Certificate, key *ecdsa.PrivateKey) *CA {
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &CA{cert: cert, key: key, pool: pool}
}

// PEM is the authority's certificate, without its key.
func (c *CA) PEM() []byte { return encodeCert(c.cert.Raw) }

// Certificate is the authority's own certificate; not to be changed.
func (c *CA) Certificate() *x509.Certificate { return c.cert }

// Pool holds the authority alone. It is shared: not to be changed.
func (c *CA) Pool() *x509.CertPool { return c.pool }
