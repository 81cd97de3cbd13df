// A SIP telephone (RFC 7118, RFC 8829) that drives itself: it registers, then calls `?call=` or answers, hears for some
// seconds, tells what it heard to POST /told, and hangs up. One call in its life.
"use strict";

const query = new URLSearchParams(location.search);
const [server, user, password, domain] = ["server", "user", "password", "domain"].map((name) => query.get(name));
const HEAR_MS = 5000;
const host = token() + ".invalid";
const contact = `<sip:${user}@${host};transport=ws>`;

function token() {
    return Math.random().toString(36).slice(2, 12);
}

function tell(kind, of) {
    return fetch("/told", { method: "POST", body: JSON.stringify({ kind, ...of }) });
}

window.onerror = (message) => tell("failed", { why: String(message) });
window.onunhandledrejection = (event) => tell("failed", { why: String(event.reason) });

// ---- SIP: one dialog, one request at a time.

let socket;
let dialog;
let waiting; // for a final response
let cseq = 1;

function send(start, headers, body = "") {
    const length = new TextEncoder().encode(body).length;
    socket.send([start, ...headers, `Content-Length: ${length}`, "", body].join("\r\n"));
}

function parse(text) {
    const end = text.indexOf("\r\n\r\n");
    const [start, ...lines] = text.slice(0, end).split("\r\n");
    const all = (name) => lines.filter((line) => line.toLowerCase().startsWith(name + ":")).map((line) => line.slice(name.length + 1).trim());
    return { start, status: start.startsWith("SIP/2.0 ") ? Number(start.split(" ")[1]) : 0, all, one: (name) => all(name)[0] || "", body: text.slice(end + 4) };
}

function authorization(challenge, method, uri) {
    const value = (name) => (challenge.match(new RegExp(`[ ,]${name}="?([^",]*)`)) || [])[1];
    const ha1 = md5(`${user}:${value("realm")}:${password}`);
    const [cnonce, nc] = [token(), "00000001"];
    const response = md5(`${ha1}:${value("nonce")}:${nc}:${cnonce}:auth:${md5(`${method}:${uri}`)}`);
    return `Digest username="${user}", realm="${value("realm")}", nonce="${value("nonce")}", uri="${uri}", response="${response}", cnonce="${cnonce}", nc=${nc}, qop=auth, algorithm=MD5`;
}

async function request(method, uri, of, headers, body) {
    const ask = (more) => new Promise((resolve) => {
        waiting = resolve;
        const branch = `Via: SIP/2.0/WS ${host};branch=z9hG4bK${token()};rport`;
        of.cseq = cseq++;
        of.branch = branch;
        send(`${method} ${uri} SIP/2.0`, [branch, "Max-Forwards: 70", `From: ${of.from}`, `To: ${of.to}`, `Call-ID: ${of.id}`, `CSeq: ${of.cseq} ${method}`, `Contact: ${contact}`, ...headers, ...more], body);
    });
    let answer = await ask([]);
    if (answer.status === 401 || answer.status === 407) {
        if (method === "INVITE") acknowledge(uri, of, answer.one("to"), of.branch);
        const name = answer.status === 401 ? "www-authenticate" : "proxy-authenticate";
        const challenge = answer.all(name).find((text) => !/algorithm=SHA/i.test(text));
        const credentials = (answer.status === 401 ? "Authorization: " : "Proxy-Authorization: ") + authorization(challenge, method, uri);
        answer = await ask([credentials]);
    }
    if (method === "INVITE" && answer.status >= 300) acknowledge(uri, of, answer.one("to"), of.branch);
    return answer;
}

function acknowledge(uri, of, to, branch) {
    send(`ACK ${uri} SIP/2.0`, [branch || `Via: SIP/2.0/WS ${host};branch=z9hG4bK${token()}`, "Max-Forwards: 70", `From: ${of.from}`, `To: ${to}`, `Call-ID: ${of.id}`, `CSeq: ${of.cseq} ACK`]);
}

function reply(to, status, headers = [], body = "") {
    const tag = to.one("to").includes(";tag=") ? "" : `;tag=${dialog ? dialog.tag : token()}`;
    const record = to.all("record-route").map((route) => `Record-Route: ${route}`);
    send(`SIP/2.0 ${status}`, [...to.all("via").map((via) => `Via: ${via}`), ...record, `From: ${to.one("from")}`, `To: ${to.one("to")}${tag}`, `Call-ID: ${to.one("call-id")}`, `CSeq: ${to.one("cseq")}`, `Contact: ${contact}`, ...headers], body);
}

function received(text) {
    const message = parse(text);
    if (message.status >= 200 && waiting) {
        const resolve = waiting;
        waiting = undefined;
        resolve(message);
    } else if (message.start.startsWith("INVITE ")) {
        if (!dialog) answer(message);
    } else if (message.start.startsWith("BYE ") || message.start.startsWith("OPTIONS ")) {
        reply(message, "200 OK");
        if (message.start.startsWith("BYE ")) tell("ended", {});
    }
}

// ---- The call.

let connection;

async function prepare() {
    connection = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    const raw = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const microphone = await navigator.mediaDevices.getUserMedia({ audio: raw });
    microphone.getTracks().forEach((track) => connection.addTrack(track, microphone));
    connection.ontrack = (event) => hear(event.streams[0] || new MediaStream([event.track]));
    connection.onconnectionstatechange = () => tell("state", { state: connection.connectionState });
}

async function gathered() {
    if (connection.iceGatheringState !== "complete") {
        await new Promise((resolve) => { connection.onicegatheringstatechange = () => connection.iceGatheringState === "complete" && resolve(); });
    }
    return connection.localDescription.sdp;
}

async function call(number) {
    await prepare();
    const offer = await connection.createOffer();
    // Sent before any candidate is known: the exchange learns our addresses from our checks.
    await connection.setLocalDescription(offer);
    const uri = `sip:${number}@${domain}`;
    dialog = { id: token(), from: `<sip:${user}@${domain}>;tag=${token()}`, to: `<${uri}>`, tag: "" };
    const sdp = ["Content-Type: application/sdp"];
    const answer = await request("INVITE", uri, dialog, sdp, offer.sdp);
    if (answer.status !== 200) return tell("failed", { why: `${answer.start} ${answer.one("warning")}` });
    dialog.to = answer.one("to");
    dialog.uri = answer.one("contact").replace(/^.*<|>.*$/g, "");
    acknowledge(dialog.uri, dialog, dialog.to);
    tell("sdp", { sdp: answer.body });
    await connection.setRemoteDescription({ type: "answer", sdp: answer.body });
}

async function answer(invite) {
    dialog = { id: invite.one("call-id"), tag: token() };
    dialog.from = `${invite.one("to")};tag=${dialog.tag}`;
    dialog.to = invite.one("from");
    dialog.uri = invite.one("contact").replace(/^.*<|>.*$/g, "");
    reply(invite, "180 Ringing");
    await prepare();
    tell("sdp", { sdp: invite.body });
    await connection.setRemoteDescription({ type: "offer", sdp: invite.body });
    await connection.setLocalDescription(await connection.createAnswer());
    reply(invite, "200 OK", ["Content-Type: application/sdp"], await gathered());
}

// ---- What is heard.

async function hear(stream) {
    document.getElementById("ear").srcObject = stream;
    const context = new AudioContext({ sampleRate: 48000 });
    const code = "registerProcessor('ear', class extends AudioWorkletProcessor { process([input]) { if (input[0]) this.port.postMessage(input[0].slice()); return true; } })";
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
    const ear = new AudioWorkletNode(context, "ear", { numberOfOutputs: 0 });
    const heard = [];
    let begun;
    const all = new Promise((resolve) => {
        ear.port.onmessage = ({ data }) => {
            // What comes before the two are connected is silence.
            begun = begun || data.some((sample) => Math.abs(sample) > 0.01);
            if (begun) heard.push(data);
            if (heard.length * 128 >= 48 * HEAR_MS) resolve();
        };
    });
    context.createMediaStreamSource(stream).connect(ear);
    await context.resume();
    await all;
    ear.port.onmessage = null;
    const samples = new Int16Array(heard.length * 128);
    heard.forEach((part, at) => part.forEach((sample, i) => { samples[at * 128 + i] = Math.max(-1, Math.min(1, sample)) * 32767; }));
    const stats = {};
    (await connection.getStats()).forEach((of) => {
        if (of.type === "inbound-rtp") Object.assign(stats, { received: of.packetsReceived, lost: of.packetsLost, concealed: of.concealedSamples });
        if (of.type === "outbound-rtp") stats.sent = of.packetsSent;
        if (of.type === "remote-inbound-rtp") stats.remoteLost = of.packetsLost;
        if (of.type === "transport") Object.assign(stats, { dtls: of.dtlsState, tls: of.tlsVersion, cipher: of.dtlsCipher, srtp: of.srtpCipher, ice: of.iceState });
        if (of.type === "codec") stats.codec = of.mimeType;
    });
    await fetch("/heard", { method: "POST", body: samples });
    await tell("stats", { stats });
    if (query.get("call")) {
        const over = await request("BYE", dialog.uri, dialog, []);
        await tell("ended", { status: over.status });
    }
}

// ---- Life.

socket = new WebSocket(server, "sip");
socket.onmessage = (event) => received(event.data);
socket.onerror = () => tell("failed", { why: "no connection to the exchange" });
socket.onopen = async () => {
    const aor = `<sip:${user}@${domain}>`;
    const of = { id: token(), from: `${aor};tag=${token()}`, to: aor };
    const answer = await request("REGISTER", `sip:${domain}`, of, ["Expires: 300"], "");
    await tell("registered", { status: answer.status });
    if (query.get("call")) await call(query.get("call"));
};
