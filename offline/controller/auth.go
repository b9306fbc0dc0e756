package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const (
	crumbField    = "Jenkins-Crumb"
	sessionCookie = "JSESSIONID.stand-in"
	sessionIdle   = 30 * time.Minute // as Jenkins' web server has it
)

// Gate knows who a request comes from, and whether its crumb was issued to that user in that session.
type Gate struct {
	accounts map[string][]byte
	salt     []byte

	mutex    sync.Mutex
	sessions map[string]*session
}

// session is one browser or client. User is empty unless somebody logged in through the form: a password sent with
// a request counts for that request alone.
type session struct {
	user string
	used time.Time
}

// NewGate admits the accounts given: user id -> bcrypt hash.
func NewGate(accounts map[string][]byte) *Gate {
	return &Gate{accounts: accounts, salt: []byte(rand.Text()), sessions: map[string]*session{}}
}

// Check tells whether a password is the user's. It takes as long for a user who does not exist.
func (gate *Gate) Check(user, password string) bool {
	hash, known := gate.accounts[user]
	if !known {
		hash = []byte("$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy")
	}
	return bcrypt.CompareHashAndPassword(hash, []byte(password)) == nil && known
}

// User is who sends the request, "" for nobody. ok is false when a password was sent and is wrong.
func (gate *Gate) User(request *http.Request) (user string, ok bool) {
	if header := request.Header.Get("Authorization"); len(header) >= 6 && strings.EqualFold(header[:6], "Basic ") {
		user, password, formed := request.BasicAuth()
		if !formed || !gate.Check(user, password) {
			return "", false
		}
		return user, true
	}
	gate.mutex.Lock()
	defer gate.mutex.Unlock()
	if _, session := gate.find(request); session != nil {
		return session.user, true
	}
	return "", true
}

// Crumb issues the crumb of a user in the request's session; without a session it starts one.
func (gate *Gate) Crumb(writer http.ResponseWriter, request *http.Request, user string) string {
	gate.mutex.Lock()
	defer gate.mutex.Unlock()
	id, session := gate.find(request)
	if session == nil {
		id = gate.open(writer, "")
	}
	return gate.crumb(user, id)
}

// ValidCrumb tells whether the request carries the crumb of this user in this session.
func (gate *Gate) ValidCrumb(request *http.Request, user string) bool {
	crumb := request.Header.Get(crumbField)
	if crumb == "" {
		crumb = request.FormValue(crumbField)
	}
	gate.mutex.Lock()
	defer gate.mutex.Unlock()
	id, session := gate.find(request)
	return session != nil && hmac.Equal([]byte(crumb), []byte(gate.crumb(user, id)))
}

// Login opens a session of a user; the one that the request came with, if any, is closed.
func (gate *Gate) Login(writer http.ResponseWriter, request *http.Request, user string) {
	gate.mutex.Lock()
	defer gate.mutex.Unlock()
	if id, session := gate.find(request); session != nil {
		delete(gate.sessions, id)
	}
	gate.open(writer, user)
}

// Logout closes the request's session.
func (gate *Gate) Logout(request *http.Request) {
	gate.mutex.Lock()
	defer gate.mutex.Unlock()
	if id, session := gate.find(request); session != nil {
		delete(gate.sessions, id)
	}
}

// find, open and crumb are called with the lock held.

func (gate *Gate) find(request *http.Request) (string, *session) {
	cookie, err := request.Cookie(sessionCookie)
	if err != nil {
		return "", nil
	}
	found := gate.sessions[cookie.Value]
	if found == nil || time.Since(found.used) > sessionIdle {
		return "", nil
	}
	found.used = time.Now()
	return cookie.Value, found
}

func (gate *Gate) open(writer http.ResponseWriter, user string) string {
	for id, session := range gate.sessions {
		if time.Since(session.used) > sessionIdle {
			delete(gate.sessions, id)
		}
	}
	id := rand.Text()
	gate.sessions[id] = &session{user: user, used: time.Now()}
	http.SetCookie(writer, &http.Cookie{
		Name: sessionCookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return id
}

func (gate *Gate) crumb(user, id string) string {
	digest := hmac.New(sha256.New, gate.salt)
	_, _ = digest.Write([]byte(user + ";" + id))
	return hex.EncodeToString(digest.Sum(nil))
}
