// What the tablet keeps: every tap until it is stored, and what it needs to open without a connection.
// IndexedDB, else localStorage. A promise that is kept means that the browser has written it.

export const ROOM = 2000; // taps that wait; a busy hour has sixty
const FINISHED_KEPT = 200; // of this tablet's own, until the desk's record has them
const NAME = "placelibre-staff";
const CHANGED = NAME + "-changed";
export const LAST = "last"; // when the last tap was, in milliseconds of the server's time

export class Full extends Error {}

export async function openStore() {
  let backend;
  try {
    backend = await databaseBackend();
  } catch (error) {
    backend = localBackend();
  }
  const store = makeStore(backend);
  if (navigator.storage && navigator.storage.persist) {
    navigator.storage.persist().then((is) => { store.isSafe = is; }, () => {});
  }
  return store;
}

function makeStore(backend) {
  const listeners = [];
  const told = () => {
    listeners.forEach((each) => each());
    try {
      localStorage.setItem(CHANGED, String(Math.random())); // other tabs hear of it
    } catch (error) {
      // They look again by themselves.
    }
  };
  addEventListener("storage", (event) => {
    if (event.key === CHANGED) listeners.forEach((each) => each());
  });
  return {
    isSafe: null, // whether the browser promises to keep it; null until it says
    onChange(listener) { listeners.push(listener); },
    get: (name) => backend.get(name),
    put: (name, value) => backend.swap(name, () => value),
    swap: (name, change) => backend.swap(name, change), // in one step: reads, and writes what `change` returns
    // Reads several in one step, by their names.
    read: (names) => backend.read(names),
    // Likewise, and writes what `change` returns of them; undefined forgets one. Other tabs hear of it.
    async turn(names, change) {
      const found = await backend.turn(names, change);
      told();
      return found;
    },
    all: () => backend.all(),
    // `complete` gets the time of the last one, in milliseconds, and gives the one to write; times go up in all tabs.
    async add(complete) {
      const added = await backend.add(complete, ROOM);
      told();
      return added;
    },
    // Changes several in one step: `change` returns what to write, null to forget it, undefined to leave it.
    async change(seqs, change) {
      const changed = await backend.change(seqs, change);
      if (changed.length) told();
      return changed;
    },
    async tidy() {
      const finished = (await backend.all()).filter((each) => FINISHED.indexOf(each.state) >= 0);
      const old = finished.slice(0, Math.max(finished.length - FINISHED_KEPT, 0)).map((each) => each.seq);
      if (old.length) await backend.change(old, () => null);
    },
  };
}

const FINISHED = ["stored", "uncounted", "taken_back"];

function takesRoom(action) {
  return action.state === "pending" || action.state === "refused";
}

// IndexedDB

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("kept");
      request.result.createObjectStore("actions", { keyPath: "seq", autoIncrement: true });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("blocked"));
  });
}

async function databaseBackend() {
  let database = await opened();

  // Runs `work` in a transaction and answers once that is written; some browsers lose the connection, so once more then.
  async function run(mode, work) {
    for (let round = 0; ; round++) {
      try {
        return await once(mode, work);
      } catch (error) {
        if (round > 0 || error instanceof Full || error.name === "QuotaExceededError") throw error;
        database = await opened();
      }
    }
  }

  function once(mode, work) {
    return new Promise((resolve, reject) => {
      let result;
      let fault = null;
      const transaction = database.transaction(["kept", "actions"], mode, { durability: "strict" });
      transaction.oncomplete = () => resolve(result);
      transaction.onerror = transaction.onabort = () => reject(fault || transaction.error || new Error("aborted"));
      work({
        kept: transaction.objectStore("kept"),
        actions: transaction.objectStore("actions"),
        give: (value) => { result = value; },
        fail: (error) => { fault = error; transaction.abort(); },
      });
    });
  }

  return {
    get: (name) => run("readonly", ({ kept, give }) => {
      const request = kept.get(name);
      request.onsuccess = () => give(request.result);
    }),
    swap: (name, change) => run("readwrite", ({ kept, give }) => {
      const request = kept.get(name);
      request.onsuccess = () => {
        const value = change(request.result);
        if (value === undefined) kept.delete(name);
        else kept.put(value, name);
        give(value);
      };
    }),
    read: (names) => run("readonly", ({ kept, give }) => {
      const found = {};
      give(found);
      names.forEach((name) => {
        const request = kept.get(name);
        request.onsuccess = () => { found[name] = request.result; };
      });
    }),
    turn: (names, change) => run("readwrite", ({ kept, give }) => {
      const found = {};
      const write = () => {
        const changed = change(Object.assign({}, found));
        Object.keys(changed).forEach((each) => {
          if (changed[each] === undefined) kept.delete(each);
          else kept.put(changed[each], each);
        });
        give(Object.assign(found, changed));
      };
      names.forEach((name, index) => {
        const request = kept.get(name);
        request.onsuccess = () => {
          found[name] = request.result;
          if (index === names.length - 1) write();
        };
      });
      if (!names.length) write();
    }),
    all: () => run("readonly", ({ actions, give }) => {
      const request = actions.getAll();
      request.onsuccess = () => give(request.result);
    }),
    add: (complete, room) => run("readwrite", ({ kept, actions, give, fail }) => {
      const request = actions.getAll();
      request.onsuccess = () => {
        if (request.result.filter(takesRoom).length >= room) return fail(new Full());
        const last = kept.get(LAST);
        last.onsuccess = () => {
          const action = complete(last.result || 0);
          kept.put(Date.parse(action.time), LAST);
          const added = actions.add(action);
          added.onsuccess = () => give(Object.assign({}, action, { seq: added.result }));
        };
      };
    }),
    change: (seqs, change) => run("readwrite", ({ actions, give }) => {
      const changed = [];
      give(changed);
      seqs.forEach((seq) => {
        const request = actions.get(seq);
        request.onsuccess = () => {
          const value = request.result && change(request.result);
          if (value === undefined) return;
          if (value === null) actions.delete(seq);
          else actions.put(value);
          changed.push(value === null ? { seq } : value);
        };
      });
    }),
  };
}

// localStorage, where a browser has no database for us: smaller, but written at once

function localBackend() {
  const read = () => {
    try {
      return JSON.parse(localStorage.getItem(NAME)) || { kept: {}, actions: [], next: 1 };
    } catch (error) {
      return { kept: {}, actions: [], next: 1 };
    }
  };
  const write = (all) => localStorage.setItem(NAME, JSON.stringify(all)); // throws when it is full
  return {
    get: async (name) => read().kept[name],
    swap: async (name, change) => {
      const all = read();
      const value = change(all.kept[name]);
      if (value === undefined) delete all.kept[name];
      else all.kept[name] = value;
      write(all);
      return value;
    },
    read: async (names) => {
      const { kept } = read();
      const found = {};
      names.forEach((name) => { found[name] = kept[name]; });
      return found;
    },
    turn: async (names, change) => {
      const all = read();
      const found = {};
      names.forEach((name) => { found[name] = all.kept[name]; });
      const changed = change(Object.assign({}, found));
      Object.assign(all.kept, changed); // what is undefined is not written
      if (Object.keys(changed).length) write(all);
      return Object.assign(found, changed);
    },
    all: async () => read().actions,
    add: async (complete, room) => {
      const all = read();
      if (all.actions.filter(takesRoom).length >= room) throw new Full();
      const action = Object.assign(complete(all.kept[LAST] || 0), { seq: all.next++ });
      all.kept[LAST] = Date.parse(action.time);
      all.actions.push(action);
      write(all);
      return action;
    },
    change: async (seqs, change) => {
      const all = read();
      const changed = [];
      all.actions = all.actions.map((each) => {
        if (seqs.indexOf(each.seq) < 0) return each;
        const value = change(each);
        if (value === undefined) return each;
        changed.push(value === null ? { seq: each.seq } : value);
        return value;
      }).filter(Boolean);
      write(all);
      return changed;
    },
  };
}
