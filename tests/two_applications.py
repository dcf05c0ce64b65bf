"""A simple model of the standard: a token, two applications on it, who is logged in, what each of them may see and do.

Nothing here asks the engine. An answer is a set of return codes: where several things are wrong with a call, the
standard leaves open which of them is told.
"""

from __future__ import annotations

from dataclasses import dataclass, field

OPEN, KEY = "data", "key"
TRIES = 10
USER, SAM, SO = "user", "sam", "so"  # the officers: sam has roles at the keys named ALPHA only
ALPHA, BETA = b"alpha", b"beta"


@dataclass(eq=False)
class Object:
    """``name``: what a token key is called for good, by the label it was made with. ``home``: the application and the
    session of a session object."""

    ident: bytes
    kind: str
    token: bool
    private: bool
    label: bytes
    name: bytes
    home: tuple[str, int]
    value: bytes
    alive: bool = True


@dataclass(eq=False)
class Signing:
    key: Object
    officer: str
    data: bytes = b""
    in_parts: bool = False


@dataclass(eq=False)
class Session:
    handle: int
    read_write: bool
    digest: bool = False
    signing: Signing | None = None


@dataclass(eq=False)
class Application:
    """``handles``: those that were told, and stand for an object until it is gone or hidden once."""

    name: str
    sessions: list[Session] = field(default_factory=list)
    who: str = ""
    handles: dict[int, Object] = field(default_factory=dict)
    void: list[int] = field(default_factory=list)

    def forget(self, which: list[int]) -> None:
        for handle in which:
            del self.handles[handle]
            self.void.append(handle)


class Token:
    def __init__(self, pins: dict[str, str]) -> None:
        self.pins = pins
        self.wrong = dict.fromkeys(pins, 0)
        self.may_use = False  # whether sam is a Crypto User at /keys/alpha
        self.objects: list[Object] = []

    # -- who may what

    def reads(self, app: Application, item: Object) -> bool:
        """Whether it is found, and its handle is one."""
        if not item.token and item.home[0] != app.name:
            return False
        if not item.private:
            return True
        if app.who not in (USER, SAM):
            return False
        return not item.token or app.who == USER or (item.kind == KEY and item.name == ALPHA)

    def holds(self, app: Application, item: Object) -> bool:
        """Whether it may be signed with, changed and destroyed by role; session objects are the application's own."""
        if not item.token or not item.private:
            return True
        return app.who == USER or (app.who == SAM and item.kind == KEY and item.name == ALPHA and self.may_use)

    def may_make(self, app: Application, kind: str, token: bool, private: bool, label: bytes) -> bool:
        if not private:
            return True
        if app.who not in (USER, SAM):
            return False
        return not token or app.who == USER or (kind == KEY and label == ALPHA and self.may_use)

    # -- what happens by itself

    def settle(self, apps: list[Application]) -> None:
        """After a change: handles and operations of what an application doesn't see any more are gone."""
        self.objects = [item for item in self.objects if item.alive]
        for app in apps:
            app.forget([h for h, item in app.handles.items() if not (item.alive and self.reads(app, item))])
            for session in app.sessions:
                going = session.signing
                if going and not (going.key.alive and going.officer == app.who and self.holds(app, going.key)):
                    session.signing = None

    def logged_out(self, app: Application) -> None:
        """C_Logout, section 5.6.9: private session objects are gone, private handles void for good."""
        app.who = ""
        for item in self.objects:
            item.alive = item.alive and not (item.private and not item.token and item.home[0] == app.name)
        app.forget([h for h, item in app.handles.items() if item.private])

    def closed(self, app: Application, session: Session) -> None:
        app.sessions.remove(session)
        for item in self.objects:
            item.alive = item.alive and (item.token or item.home != (app.name, session.handle))
        if not app.sessions:
            self.logged_out(app)

    # -- what is answered

    def login(self, app: Application, officer: str, right: bool) -> set[str]:
        """Changes who is logged in, and the wrong tries."""
        if app.who:
            same = (app.who == SO) == (officer == SO)
            if app.who == officer:
                return {"CKR_USER_ALREADY_LOGGED_IN"}
            return {"CKR_USER_ANOTHER_ALREADY_LOGGED_IN"} | ({"CKR_USER_ALREADY_LOGGED_IN"} if same else set())
        if officer == SO and not all(session.read_write for session in app.sessions):
            return {"CKR_SESSION_READ_ONLY_EXISTS"}
        answer = self.proves(officer, right)
        if answer == {"CKR_OK"}:
            app.who = officer
        return answer

    def proves(self, officer: str, right: bool) -> set[str]:
        if self.wrong[officer] >= TRIES:
            return {"CKR_PIN_LOCKED"}
        self.wrong[officer] = 0 if right else self.wrong[officer] + 1
        return {"CKR_OK" if right else "CKR_PIN_INCORRECT"}

    def state(self, app: Application, session: Session) -> str:
        kind = "RW" if session.read_write else "RO"
        if app.who == SO:
            return "CKS_RW_SO_FUNCTIONS"
        return f"CKS_{kind}_USER_FUNCTIONS" if app.who else f"CKS_{kind}_PUBLIC_SESSION"

    def flags(self) -> dict[str, bool]:
        """Of the two that C_GetTokenInfo speaks of."""
        found = {}
        for officer in (USER, SO):
            tries = self.wrong[officer]
            found[f"CKF_{officer.upper()}_PIN_COUNT_LOW"] = 0 < tries < TRIES
            found[f"CKF_{officer.upper()}_PIN_FINAL_TRY"] = tries == TRIES - 1
            found[f"CKF_{officer.upper()}_PIN_LOCKED"] = tries >= TRIES
        return found
