-- What of the engine's API a Docker pipeline may use: HAProxy asks this about each request (`judge_request`), and about
-- its JSON, if it has any (`judge_body`). Loaded as
--
--     lua-load-per-thread policy.lua OWN LABEL,... IMAGE... :PORT... /PATH?KEY=VALUE&...
--
-- with the name of the proxy's own container, which its volume has too, the labels that only stacks may give (all
-- below one that ends with `/`), the images that the stack is deployed from, the ports of the host that it listens at,
-- and the calls of the stack's pruner. `+` before an image says that jobs may pull it.
--
-- Here are the calls; bodies.lua has what may be in their bodies, and shapes.lua what both are written with.
-- Everything is a list of what is allowed: calls, headers, keys of queries, fields of bodies, and values where they
-- matter. An engine's JSON decoder takes keys in any case, and merges two of one name. So a key has to be
-- spelt as the clients spell it, and only once, and what is judged is the decoded value.
--
-- HAProxy goes on after an error in Lua. So it lets through only what has `txn.verdict` = "pass" at the end.

local own, own_labels = ...
local own_id = (os.getenv("HOSTNAME") or ""):match("^%x+$") or ""
assert(#own_id >= 12, "HOSTNAME is not the beginning of a container's id")

local stack = { own = own, own_id = own_id, labels = own_labels, images = {}, ports = {} }
local prunes = {}
for index = 3, select("#", ...) do
    local argument = select(index, ...)
    local path, query = argument:match("^(/[^?]+)%?(.*)$")
    local port = argument:match("^:(%d+)$")
    if path then
        prunes[path] = query
    elseif port then
        stack.ports[#stack.ports + 1] = tonumber(port)
    else
        stack.images[#stack.images + 1] = argument
    end
end
package.loaded.stack = stack -- for bodies.lua

local shapes, bodies = require("shapes"), require("bodies")
local refuse, like, one_of, json = shapes.refuse, shapes.like, shapes.one_of, shapes.json
local text, texts, plain, no_text, map = shapes.text, shapes.texts, shapes.plain, shapes.no_text, shapes.map
local switch, count, moment, signal = shapes.switch, shapes.count, shapes.moment, shapes.signal
local cpus, detach_keys = shapes.cpus, shapes.detach_keys
local NAME, other_container, other_volume, other_image = bodies.NAME, bodies.container, bodies.volume, bodies.image

-- The calls: methods, path, the shapes of the query's keys, the shape of the body, which is JSON. A call without such a
-- shape has no body, and one with ANY has what nothing here reads. In a path, {c} is a container or an exec, {i} an
-- image, {n} a network, {v} a volume. ---------------------------------------------------------------------------------

local ANY = {}

local function keys(by_words)
    local found = {}
    for words, shape in pairs(by_words) do
        for word in words:gmatch("%S+") do
            found[word] = shape
        end
    end
    return found
end

-- Of the old builder, which runs nothing but the Dockerfile's steps. Not: `remote`, by which the engine fetches from
-- addresses that it alone may reach; `securityopt`; `version=2`, which is BuildKit.
local BUILD = keys({
    ["forcerm nocache pull q rm squash"] = switch, ["cpuperiod cpuquota cpushares memory memswap shmsize"] = count,
    ["cpusetcpus cpusetmems"] = cpus, ["buildid dockerfile extrahosts platform target"] = plain,
    buildargs = json(map(text, text)), cachefrom = json(texts), labels = json(bodies.labels),
    ulimits = json(bodies.ulimits),
    cgroupparent = no_text, networkmode = bodies.network, t = other_image, version = one_of("", "1"),
})

-- The engine runs `ps` as root with these words, and shows the lines in whose column PID it finds a process of the
-- container. By others (`-orss=PID -oargs -e f`) that column has another number, and any process of the host is shown.
local processes = like(
    function(value) return value == "" or value == "-ef" or value == "aux" or value:find("^%-e?o pid,[%l,]+$") end,
    "-ef, aux, or -eo and names of columns, the first of them pid, such as -eo pid,comm"
)

-- The engine asks the registry that stands before the first slash.
local term = like(
    function(value) return value:find("^[%w][%w_./-]*$") and bodies.repository(value):find("^docker%.io/") end,
    "words for Docker Hub"
)

local CALLS = {
    { "GET HEAD", "/_ping" },
    { "GET", "/info" },
    { "GET", "/version" },
    { "GET", "/events", keys({ filters = plain, ["since until"] = moment }) },
    { "GET", "/system/df", keys({ type = one_of("container", "image", "volume", "build-cache"), verbose = switch }) },
    { "POST", "/auth", {}, bodies.LOGIN },
    { "POST", "/build", BUILD, ANY },
    { "GET", "/images/json", keys({
        ["all digests manifests only_ids shared-size"] = switch, ["filter filters"] = plain,
    }) },
    { "GET", "/images/search", { term = term, limit = count, filters = plain } },
    { "POST", "/images/create", { fromImage = bodies.pulled_image, platform = plain, tag = plain } },
    { "GET", "/images/get", { names = plain, platform = plain } },
    { "GET", "/images/{i}/get", { platform = plain } },
    { "GET", "/images/{i}/json", { manifests = switch, platform = plain } },
    { "GET", "/images/{i}/history", { platform = plain } },
    { "POST", "/images/{i}/tag", { repo = other_image, force = switch, tag = plain } },
    { "POST", "/images/{i}/push", { platform = plain, tag = plain }, bodies.NONE },
    { "DELETE", "/images/{d}", { force = switch, noprune = switch, platforms = plain } },
    { "GET", "/containers/json", keys({
        ["all size trunc_cmd"] = switch, ["before filters since"] = plain, limit = count,
    }) },
    { "POST", "/containers/create", { name = other_container, platform = plain }, bodies.CONTAINER },
    -- `docker inspect IMAGE` asks for a container of that name first, and looks for an image only after a 404. The
    -- engine gives that answer best, so an image's name is let through here.
    { "GET", "/containers/{i}/json", { size = switch } },
    { "GET", "/containers/{c}/top", { ps_args = processes } },
    { "GET", "/containers/{c}/changes" },
    { "GET", "/containers/{c}/stats", keys({ ["one-shot stream"] = switch }) },
    { "GET", "/containers/{c}/logs", keys({
        ["details follow stderr stdout timestamps"] = switch, ["since until"] = moment,
        tail = like("^%-?%w*$", "a number, or all"),
    }) },
    { "POST", "/containers/{c}/attach", keys({
        ["logs stderr stdin stdout stream"] = switch, detachKeys = detach_keys,
    }) },
    { "POST", "/containers/{c}/start", { detachKeys = detach_keys } },
    { "POST", "/containers/{c}/stop", { signal = signal, t = bodies.seconds } },
    { "POST", "/containers/{c}/restart", { signal = signal, t = bodies.seconds } },
    { "POST", "/containers/{c}/kill", { signal = signal } },
    { "POST", "/containers/{c}/pause" },
    { "POST", "/containers/{c}/unpause" },
    { "POST", "/containers/{c}/resize", { h = count, w = count } },
    { "POST", "/containers/{c}/wait", { condition = one_of("", "not-running", "next-exit", "removed") } },
    { "GET HEAD", "/containers/{c}/archive", { path = plain } },
    { "PUT", "/containers/{c}/archive", keys({ ["copyUIDGID noOverwriteDirNonDir"] = switch, path = plain }), ANY },
    { "POST", "/containers/{c}/rename", { name = other_container } },
    { "DELETE", "/containers/{c}", keys({ ["force link v"] = switch }) },
    { "POST", "/containers/{c}/exec", {}, bodies.EXEC },
    { "POST", "/exec/{c}/start", {}, bodies.EXEC_START },
    { "POST", "/exec/{c}/resize", { h = count, w = count } },
    { "GET", "/exec/{c}/json" },
    { "GET", "/networks", { filters = plain } },
    { "GET", "/networks/{n}", { scope = plain, verbose = switch } },
    { "POST", "/networks/create", {}, bodies.NETWORK },
    { "POST", "/networks/{n}/connect", {}, bodies.CONNECT },
    { "POST", "/networks/{n}/disconnect", {}, bodies.DISCONNECT },
    { "DELETE", "/networks/{n}" },
    { "GET", "/volumes", { filters = plain } },
    { "GET", "/volumes/{v}" },
    { "POST", "/volumes/create", {}, bodies.VOLUME },
    { "DELETE", "/volumes/{v}", { force = switch } },
}

-- Whoever else makes these calls only removes what the pruner removes within the hour: each key has its one value, and
-- none may be left out; of keys with | between them, not all.
for path, query in pairs(prunes) do
    local call = { "POST", path, {}, needed = {} }
    for key, value in query:gmatch("([^&=]+)=([^&]*)") do
        call.needed[key] = true
        for each in key:gmatch("[^|]+") do
            call[3][each] = one_of(value)
        end
    end
    CALLS[#CALLS + 1] = call
end

-- What the engine answers from memory, whatever its containers do. Every other call counts as one that can last. So
-- does a look at a container: the engine waits for whoever has it locked, as by a copy out of it that is never read.
local SHORT = {}
for call in ("GET/_ping HEAD/_ping GET/info GET/version GET/images/json GET/images/{i}/json GET/images/{i}/history "
    .. "GET/containers/json GET/networks GET/networks/{n} GET/volumes GET/volumes/{v}"):gmatch("%S+") do
    SHORT[call] = true
end
local MEASURES = { size = true, ["shared-size"] = true } -- the engine walks through files

local KINDS = {
    c = { "(" .. NAME .. ")", other_container },
    i = { "([%w][%w_.:@/-]*)", like(
        function(value) return not bodies.is_own(value) end, "a name that is not the proxy's"
    ) },
    d = { "([%w][%w_.:@/-]*)", other_image },
    n = { "(" .. NAME .. ")", text },
    v = { "(" .. NAME .. ")", other_volume },
}
for _, call in ipairs(CALLS) do
    call.pattern = "^" .. call[2]:gsub("{(.)}", function(kind)
        call.name = KINDS[kind][2]
        return KINDS[kind][1]
    end) .. "$"
end

-- What `docker inspect NAME` asks when the engine has nothing else of that name.
local ABSENT = "^/%a+/[%w][%w_.:@/-]*$"
local ABSENT_KINDS = { services = true, tasks = true, nodes = true, plugins = true, secrets = true, configs = true }

-- As the engine decodes what stands behind a percent sign, once.
local function unescape(written, place)
    if written:gsub("%%%x%x", ""):find("%%") then
        refuse(place .. " has a % that is no escape")
    end
    return (written:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

local function path_of(url)
    local path = unescape(url:match("^[^?]*"), "the path")
    -- From 1.41 on, the engine 20.10's. Older ones mean other things by the same requests: up to 1.23, starting a
    -- container takes a configuration that could make it privileged.
    local minor, rest = path:match("^/v1%.(%d%d)(/.*)$")
    if minor and tonumber(minor) >= 41 then
        path = rest
    end
    -- The engine would answer with a redirection.
    if ("/" .. path .. "/"):find("/%.%.?/") then
        refuse("the path is written in a way that is not taken here")
    end
    return path
end

local function query_of(url)
    local query, pairs_found = url:match("%?(.*)$") or "", {}
    if query:find(";") then
        refuse("the query has a ; in it, which engines read in two ways")
    end
    for piece in query:gmatch("[^&]+") do
        local key, value = piece:gsub("%+", " "):match("^([^=]*)=?(.*)$")
        pairs_found[#pairs_found + 1] = { unescape(key, "the query"), unescape(value, key) }
    end
    return pairs_found
end

local function call_of(method, path)
    for _, call in ipairs(CALLS) do
        local name = path:match(call.pattern)
        if name and (" " .. call[1] .. " "):find(" " .. method .. " ", 1, true) then
            if call.name then
                call.name(name, "the name in the path")
            end
            return call
        end
    end
    if method == "GET" and path:find(ABSENT) and ABSENT_KINDS[path:match("^/(%a+)")] then
        error({ words = "no such object", verdict = "absent" }, 0)
    elseif path == "/session" or path == "/grpc" then
        refuse("BuildKit works through a tunnel, into which no rule sees; DOCKER_BUILDKIT=0 builds without it")
    end
    refuse("a Docker pipeline does not need " .. method .. " " .. path)
end

-- Runs a judgement. Whatever goes wrong in it leaves the verdict as it was, which is no pass.
local function judge(name, judgement)
    core.register_action(name, { "http-req" }, function(txn)
        txn:set_var("txn.verdict", "refuse")
        local fine, found = pcall(judgement, txn)
        if fine then
            txn:set_var("txn.verdict", found)
        elseif type(found) == "table" then
            txn:set_var("txn.words", found.words)
            txn:set_var("txn.verdict", found.verdict or "refuse")
        else
            core.log(core.err, tostring(found))
        end
    end)
end

-- What clients send. Any other is taken away: an engine of tomorrow could do more for it.
local HEADERS = {}
for name in ("accept accept-encoding connection content-length content-type expect host transfer-encoding upgrade "
    .. "user-agent x-registry-auth x-registry-config"):gmatch("%S+") do
    HEADERS[name] = true
end
-- By `application/grpc` an engine knows a call of BuildKit.
local content_type = one_of("application/json", "application/x-tar", "application/tar", "text/plain")
local TAKEOVERS = { ["/containers/{c}/attach"] = true, ["/exec/{c}/start"] = true }

-- Says whether the request has a body.
local function judge_headers(txn, call)
    local headers = txn.http:req_get_headers()
    for name, values in pairs(headers) do
        if not HEADERS[name] then
            txn.http:req_del_header(name)
        elseif name == "content-type" then
            content_type(values[0]:lower():match("^[^;%s]*"), "the header Content-Type")
        elseif name == "upgrade" and not (TAKEOVERS[call[2]] and values[0]:lower() == "tcp" and not values[1]) then
            refuse("only attach and exec take over a connection, by Upgrade: tcp")
        end
    end
    local length = headers["content-length"]
    return headers["transfer-encoding"] ~= nil or length ~= nil and length[0] ~= "0"
end

judge("judge_request", function(txn)
    local url = txn.sf:url()
    local call = call_of(txn.sf:method(), path_of(url))
    local has_body = judge_headers(txn, call)
    local given, measures = {}, false
    for _, pair in ipairs(query_of(url)) do
        local shape = (call[3] or {})[pair[1]]
        if not shape then
            refuse("a Docker pipeline does not need " .. pair[1] .. "= of " .. call[2])
        end
        shape(pair[2], pair[1] .. "=")
        given[pair[1]] = true
        measures = measures or MEASURES[pair[1]]
    end
    for key in pairs(call.needed or {}) do
        local found = false
        for each in key:gmatch("[^|]+") do
            found = found or given[each]
        end
        if not found then
            refuse(call[2] .. " needs " .. key .. "=")
        end
    end
    txn:set_var("txn.lasts", SHORT[txn.sf:method() .. call[2]] and not measures and "no" or "yes")
    local shape = call[4]
    if has_body and not shape then
        refuse("a Docker pipeline does not send a body to " .. call[2])
    end
    return shape and shape ~= ANY and (has_body or shape ~= bodies.NONE) and "body" or "pass"
end)

judge("judge_body", function(txn)
    local body = txn.sf:req_body()
    if #body ~= tonumber(txn.sf:req_hdr("content-length")) then
        refuse("the body did not come, or is too long")
    end
    call_of(txn.sf:method(), path_of(txn.sf:url()))[4](shapes.decode(body, "the body"), "")
    return "pass"
end)
