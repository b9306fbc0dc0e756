-- What of the engine's API a Docker pipeline may use: HAProxy asks this about each request (`judge_request`), and about
-- the JSON of those that create something (`judge_body`). Loaded as
--
--     lua-load-per-thread policy.lua OWN IMAGE... /PATH?KEY=VALUE&...
--
-- with the name of the proxy's own container, which its volume has too, the images that the stack is deployed from, and
-- the calls of the stack's pruner. `+` before an image says that jobs may pull it.
--
-- Everything here is a list of what is allowed: calls, keys of their queries, fields of their bodies, and values
-- where they matter. An engine's JSON decoder takes keys in any case, and merges two of one name. So a key has to be
-- spelt as the clients spell it, and only once, and what is judged is the decoded value.
--
-- HAProxy goes on after an error in Lua. So it lets through only what has `txn.verdict` = "pass" at the end.

local own = ...
local own_id = assert((os.getenv("HOSTNAME") or ""):match("^%x+$"), "HOSTNAME is not the beginning of a container's id")
assert(#own_id >= 12, "HOSTNAME is not the beginning of a container's id")

local function refuse(words)
    error({ words = words }, 0)
end

-- JSON ----------------------------------------------------------------------------------------------------------------

local NULL = {}
local WORDS = { null = NULL, ["true"] = true, ["false"] = false }
local DEEPEST, MOST = 20, 10000 -- levels, and values in a body: what a client of ill will may cost
local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }

-- Gives strings, numbers and booleans as Lua has them, {list = {...}}, {map = {...}} and NULL.
local function decode(text)
    local at, values = 1, 0

    local function skip()
        at = text:find("[^ \t\r\n]", at) or #text + 1
        return text:sub(at, at)
    end

    local function broken()
        refuse("the body is not JSON, at byte " .. at)
    end

    local function take(sign)
        if skip() ~= sign then
            broken()
        end
        at = at + 1
    end

    -- Halves of a pair stay two letters that nothing here compares with.
    local function letter()
        local digits = text:match("^u(%x%x%x%x)", at + 1)
        at = at + (digits and 6 or 2)
        return digits and utf8.char(tonumber(digits, 16)) or ESCAPES[text:sub(at - 1, at - 1)] or broken()
    end

    local function quoted()
        local parts = {}
        take('"')
        while true do
            local stop = text:find('[\0-\31"\\]', at) or broken()
            parts[#parts + 1] = text:sub(at, stop - 1)
            at = stop
            if text:sub(at, at) == '"' then
                at = at + 1
                return table.concat(parts)
            elseif text:sub(at, at) ~= "\\" then
                broken()
            end
            parts[#parts + 1] = letter()
        end
    end

    -- Reads what stands between two brackets, with commas in between.
    local function series(first, last, item)
        take(first)
        if skip() ~= last then
            item()
            while skip() == "," do
                at = at + 1
                item()
            end
        end
        take(last)
    end

    local function value(depth)
        local sign = skip()
        values = values + 1
        if depth > DEEPEST or values > MOST then
            refuse("the body has more than " .. DEEPEST .. " levels, or " .. MOST .. " values")
        elseif sign == '"' then
            return quoted()
        elseif sign == "[" then
            local list = {}
            series("[", "]", function() list[#list + 1] = value(depth + 1) end)
            return { list = list }
        elseif sign == "{" then
            local map = {}
            series("{", "}", function()
                local key = quoted()
                if map[key] ~= nil then
                    refuse("the body has the key " .. key .. " twice in one place")
                end
                take(":")
                map[key] = value(depth + 1)
            end)
            return { map = map }
        end
        local word = text:match("^[%w.+-]+", at) or broken()
        local found = WORDS[word]
        if found == nil then
            found = word:find("^-?%d[%d.eE+-]*$") and tonumber(word) or broken()
        end
        at = at + #word
        return found
    end

    local found = value(1)
    if skip() ~= "" then
        broken()
    end
    return found
end

-- Shapes: functions that take a value and where it stands, and refuse it unless it is as they say. NULL always
-- passes: the engine's decoder leaves the field as it is. ------------------------------------------------------------

local function show(value)
    if type(value) == "table" then
        return value.list and "[...]" or "{...}"
    end
    return type(value) == "string" and '"' .. value:sub(1, 60) .. '"' or tostring(value)
end

local function deny(value, place, accepted)
    refuse(place .. " = " .. show(value) .. "; accepted: " .. accepted)
end

local function either(kind)
    return function(value, place)
        if value ~= NULL and type(value) ~= kind then
            deny(value, place, "a " .. kind)
        end
    end
end

local text, number, flag = either("string"), either("number"), either("boolean")

-- A string that a test takes: a pattern, or a function that says true.
local function like(test, accepted)
    return function(value, place)
        local fits = type(value) == "string"
            and (type(test) == "function" and test(value) or type(test) == "string" and value:find(test) ~= nil)
        if value ~= NULL and not fits then
            deny(value, place, accepted)
        end
    end
end

local function one_of(...)
    local taken, words = {}, {}
    for _, value in ipairs({ ... }) do
        taken[value] = true
        words[#words + 1] = show(value)
    end
    return function(value, place)
        if value ~= NULL and not taken[value] then
            deny(value, place, table.concat(words, ", "))
        end
    end
end

local function absent(value, place)
    if value ~= NULL then
        deny(value, place, "null")
    end
end

-- What is in a list or an object.
local function inside(value, place, kind, accepted)
    if value ~= NULL and not (type(value) == "table" and value[kind]) then
        deny(value, place, accepted)
    end
    return value[kind] or {}
end

local function list(item)
    return function(value, place)
        for index, inner in ipairs(inside(value, place, "list", "a list")) do
            item(inner, place .. "[" .. index - 1 .. "]")
        end
    end
end

local function map(key, item)
    return function(value, place)
        for name, inner in pairs(inside(value, place, "map", "an object")) do
            key(name, place)
            item(inner, place .. "." .. name)
        end
    end
end

local function struct(fields, other)
    return function(value, place)
        for name, inner in pairs(inside(value, place, "map", "an object")) do
            local field, where = fields[name] or other, place == "" and name or place .. "." .. name
            if not field then
                refuse(where .. " is not a field that a Docker pipeline needs")
            end
            field(inner, where)
        end
    end
end

local texts, numbers, labels = list(text), list(number), map(text, text)
local no_text, no_list, no_map, no_number, off = one_of(""), list(absent), struct({}), one_of(0), one_of(false)

-- Names ---------------------------------------------------------------------------------------------------------------

local NAME = "[%w][%w_.-]*"

-- A container has a name, and any beginning of its id is one too.
local function is_own(name)
    return name == own or name:find("^%x+$") and (name == own_id:sub(1, #name) or name:sub(1, #own_id) == own_id)
end

-- A container's name, with what may stand behind it.
local function other_container_with(behind, accepted)
    return like(function(value)
        local name, rest = value:match("^/?(" .. NAME .. ")(.*)$")
        return name and not is_own(name) and (rest == "" or behind and rest:find("^:" .. behind .. "$"))
    end, accepted .. " of a container that is not the proxy's")
end

local other_container = other_container_with(nil, "the name or id")
local volumes_from = other_container_with("r[ow]", "the name or id, with :ro or :rw or without,")
-- The engine joins the alias to the new container's name, and knows the linked container by that too.
local link = other_container_with(NAME, "NAME or NAME:ALIAS")

local other_volume = like(
    function(value) return value == "" or value:find("^" .. NAME .. "$") and value ~= own end,
    "the name of a volume that is not the proxy's"
)

-- Words between commas, each at most once: of each, the pattern of what stands behind its "=", or "" for no "=" at all.
local function options(patterns, accepted)
    return like(function(value)
        local seen = {}
        for option in (value == "" and "" or value .. ","):gmatch("([^,]*),") do
            local key, sign, rest = option:match("^([^=]*)(=?)(.*)$")
            local pattern = patterns[key]
            if not pattern or seen[key] or (pattern == "") ~= (sign == "") or not rest:find("^" .. pattern .. "$") then
                return false
            end
            seen[key] = true
        end
        return true
    end, accepted)
end

-- Where something is mounted in a container. It has one spelling, or the engine and runc take two for different places.
-- Below /proc, /sys and /dev is what a container shares with its host.
local SHARED = { proc = true, sys = true, dev = true }
local function is_place(value)
    local top = value:match("^/([^/]+)")
    return top and not SHARED[top] and not value:find("[%c\\:]") and not (value .. "/"):find("/%.?%.?/")
end
local A_PLACE = "an absolute path such as /cache, without //, . and .., and not below /proc, /sys or /dev"
local place_of_tmpfs = like(is_place, A_PLACE .. ", and without a / at its end")
-- The engine takes a slash at the end of these away.
local function is_place_or_folder(value) return is_place((value:gsub("/$", ""))) end
local mounted = like(is_place_or_folder, A_PLACE)
-- A path below /proc may lead out of the container, as by a file that runc has open.
local working = like(
    function(value) return value == "" or value == "/" or is_place_or_folder(value) end,
    "/, or " .. A_PLACE
)

-- A flag of mount(2) that changes what is mounted there already, `remount`, would change the host's own mounts. Others
-- change how mounts spread. Z takes a volume from all other containers on a host with SELinux.
local TMPFS = {
    size = "%d+[kKmMgG%%]?", nr_inodes = "%d+[kKmMgG]?", nr_blocks = "%d+[kKmMgG]?", mode = "[0-7]+",
    uid = "%d+", gid = "%d+", rw = "", ro = "", exec = "", noexec = "", suid = "", nosuid = "", dev = "", nodev = "",
}
local tmpfs = options(TMPFS, "rw, ro, exec, noexec, suid, nosuid, dev, nodev, size=64m, mode=1777, uid=1000, gid=1000, "
    .. "nr_inodes=10k, nr_blocks=10k, each at most once, with a comma between them")
local bind_mode = options({ rw = "", ro = "", z = "", nocopy = "" }, "rw, ro, z, nocopy")
local NAMED = "NAME:/PATH of a volume that is not the proxy's, for example cache:/cache; no folder of the host"
local function bind(value, place)
    text(value, place)
    if value ~= NULL then
        local name, path, mode = value:match("^(" .. NAME .. "):(/[^:]*)(.*)$")
        if not name or name == own or (mode ~= "" and mode:sub(1, 1) ~= ":") then
            deny(value, place, NAMED)
        end
        mounted(path, place .. "'s path")
        bind_mode(mode:sub(2), place .. "'s mode")
    end
end
local network = like(
    function(value) return value == "" or value:find("^" .. NAME .. "$") and value ~= "host" end,
    "default, bridge, none, or the name of a network; not host, and not container:NAME"
)

-- The repository of an image's name, with its registry. Source: distribution/reference, normalize.go.
local function repository(image)
    image = image:gsub("%s", ""):gsub("@.*$", ""):gsub(":[^/:]*$", "")
    local host, rest = image:match("^([^/]*)/(.*)$")
    if not host or not (host:find("[.:]") or host == "localhost" or host:find("%u")) then
        host, rest = "docker.io", image
    elseif host == "index.docker.io" then
        host = "docker.io"
    end
    return host .. "/" .. (host == "docker.io" and rest:gsub("^library/", "") or rest)
end

local deployed, prunes = {}, {}
for index = 2, select("#", ...) do
    local argument = select(index, ...)
    local path, query = argument:match("^(/[^?]+)%?(.*)$")
    if path then
        prunes[path] = query
    else
        local name = repository(argument:gsub("^%+", ""))
        deployed[name] = argument:sub(1, 1) == "+" and deployed[name] ~= "sealed" and "pulled" or "sealed"
    end
end
local OTHER_IMAGE = "an image that this CI is not deployed from"
local other_image = like(function(value) return not deployed[repository(value)] end, OTHER_IMAGE)
local pulled_image = like(function(value) return deployed[repository(value)] ~= "sealed" end, OTHER_IMAGE)

-- The bodies that create something. The fields are those that docker 20.10 to 28 and docker-py 7 send. ---------------

local CAPABILITIES = {}
for name in ("CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT "
    .. "KILL AUDIT_WRITE"):gmatch("%S+") do
    CAPABILITIES[name], CAPABILITIES["CAP_" .. name] = true, true
end

-- Of the other drivers the engine is the client, as root and in the network of the host. Templates are left out.
local size = like("^%d%d?%d?%d?[kKmM]?[bB]?$", "a size of up to 9999m")
local log = struct({ Type = one_of("", "json-file", "local", "none"), Config = struct({
    ["max-size"] = size, ["max-buffer-size"] = size, ["max-file"] = like("^%d%d?%d?$", "up to 999"),
    compress = one_of("true", "false"), mode = one_of("blocking", "non-blocking"),
}) })

local endpoint = struct({
    IPAMConfig = struct({ IPv4Address = text, IPv6Address = text, LinkLocalIPs = texts }),
    Links = list(link), Aliases = texts, MacAddress = text, DriverOpts = no_map, GwPriority = number,
    DNSNames = no_list, NetworkID = no_text, EndpointID = no_text, Gateway = no_text, IPAddress = no_text,
    IPPrefixLen = no_number, IPv6Gateway = no_text, GlobalIPv6Address = no_text, GlobalIPv6PrefixLen = no_number,
})

-- A volume driver's options, or another driver, could mount a folder of the host.
local driver = struct({ Name = one_of("", "local"), Options = no_map })
local mount = struct({
    Type = one_of("volume", "tmpfs"), Source = other_volume, Target = mounted, ReadOnly = flag,
    Consistency = one_of("", "default", "consistent", "cached", "delegated"),
    VolumeOptions = struct({ NoCopy = flag, Labels = labels, DriverConfig = driver, Subpath = no_text }),
    TmpfsOptions = struct({ SizeBytes = number, Mode = number }),
})

local HOST = {
    Binds = list(bind), VolumesFrom = list(volumes_from), VolumeDriver = one_of("", "local"), Mounts = list(mount),
    Tmpfs = map(place_of_tmpfs, tmpfs), ReadonlyRootfs = flag, ShmSize = number,
    -- How it is confined.
    Privileged = off, CapDrop = texts,
    CapAdd = list(like(
        function(value) return CAPABILITIES[value:upper()] end,
        "the capabilities that a container has anyway, such as CHOWN"
    )),
    SecurityOpt = list(one_of("no-new-privileges", "no-new-privileges:true", "no-new-privileges=true")),
    MaskedPaths = absent, ReadonlyPaths = absent, -- [] would unmask them
    Devices = no_list, DeviceRequests = no_list, DeviceCgroupRules = no_list, Annotations = no_map, StorageOpt = no_map,
    PidMode = no_text, UTSMode = no_text, UsernsMode = no_text, CgroupnsMode = one_of("", "private"),
    IpcMode = one_of("", "none", "private", "shareable"), Cgroup = no_text, CgroupParent = no_text,
    Runtime = one_of("", "runc"), Isolation = one_of("", "default"), GroupAdd = texts,
    Sysctls = map(
        like("^net%.[%w_-]+%.[%w_.-]+$", "--sysctl of the container's own network, such as net.core.somaxconn"),
        like("^[%w %.,-]*$", "words and numbers")
    ),
    -- Its network.
    NetworkMode = network, Links = list(link), Dns = texts, DnsOptions = texts, DnsSearch = texts, ExtraHosts = texts,
    PortBindings = map(text, list(struct({ HostIp = text, HostPort = text }))), PublishAllPorts = flag,
    -- Its limits.
    Memory = number, MemoryReservation = number, MemorySwap = number, MemorySwappiness = number, KernelMemory = number,
    KernelMemoryTCP = number, OomKillDisable = off, NanoCpus = number, CpuShares = number, CpuPeriod = number,
    CpuQuota = number, CpusetCpus = text, CpusetMems = text, CpuRealtimePeriod = no_number,
    CpuRealtimeRuntime = no_number, CpuCount = number, CpuPercent = number, IOMaximumIOps = number,
    IOMaximumBandwidth = number, BlkioWeight = number, PidsLimit = number,
    -- These name files of the host, and the answer would tell whether they exist.
    BlkioWeightDevice = no_list, BlkioDeviceReadBps = no_list, BlkioDeviceWriteBps = no_list,
    BlkioDeviceReadIOps = no_list, BlkioDeviceWriteIOps = no_list,
    Ulimits = list(struct({ Name = text, Hard = number, Soft = number })),
    OomScoreAdj = function(value, place)
        number(value, place)
        if value ~= NULL and value < 0 then
            deny(value, place, "0 to 1000")
        end
    end,
    -- How it runs.
    AutoRemove = flag, Init = flag, ConsoleSize = numbers, ContainerIDFile = text, LogConfig = log,
    RestartPolicy = struct({ Name = text, MaximumRetryCount = number }),
}

local health = struct({
    Test = texts, Interval = number, Timeout = number, StartPeriod = number, StartInterval = number, Retries = number,
})
local PROCESS = {
    User = text, Env = texts, Cmd = texts, WorkingDir = working, Tty = flag, AttachStdin = flag, AttachStdout = flag,
    AttachStderr = flag,
}
local function process(more)
    for name, shape in pairs(PROCESS) do
        more[name] = shape
    end
    return struct(more)
end

local CONTAINER = process({
    Hostname = text, Domainname = text, ExposedPorts = map(text, no_map), OpenStdin = flag, StdinOnce = flag,
    ArgsEscaped = flag, Healthcheck = health, Image = text, Volumes = map(mounted, no_map),
    Entrypoint = texts, NetworkDisabled = flag, MacAddress = text, OnBuild = texts, Labels = labels, StopSignal = text,
    StopTimeout = number, Shell = texts, HostConfig = struct(HOST),
    -- docker-py has a network's name in the place of EndpointsConfig, with null, which engines ignore.
    NetworkingConfig = struct({ EndpointsConfig = map(network, endpoint) }, absent),
})
local EXEC = process({
    Privileged = off, Detach = flag, DetachKeys = text, ConsoleSize = numbers, Container = text,
})
local NETWORK = struct({
    Name = network, CheckDuplicate = flag, Driver = one_of("", "bridge"), Scope = one_of("", "local"), Internal = flag,
    Attachable = flag, Ingress = off, ConfigOnly = off, ConfigFrom = struct({ Network = no_text }), EnableIPv4 = flag,
    EnableIPv6 = flag, Options = no_map, Labels = labels,
    IPAM = struct({ Driver = one_of("", "default"), Options = no_map, Config = no_list }),
})
local VOLUME = struct({ Name = other_volume, Driver = one_of("", "local"), DriverOpts = no_map, Labels = labels })
local CONNECT = struct({ Container = other_container, EndpointConfig = endpoint })
local DISCONNECT = struct({ Container = other_container, Force = flag })

-- The calls: methods, path, the keys of the query, the body's shape. In a path, {c} is a container or an exec, {i} an
-- image, {n} a network, {v} a volume. ---------------------------------------------------------------------------------

local function keys(words, more)
    local found = more or {}
    for word in words:gmatch("%S+") do
        found[word] = text
    end
    return found
end

-- Of the old builder, which runs nothing but the Dockerfile's steps. Not: `remote`, by which the engine fetches from
-- addresses that it alone may reach; `securityopt`; `version=2`, which is BuildKit.
local BUILD = keys(
    "buildargs buildid cachefrom cpuperiod cpuquota cpusetcpus cpusetmems cpushares dockerfile extrahosts forcerm "
        .. "labels memory memswap nocache platform pull q rm shmsize squash target ulimits",
    { cgroupparent = no_text, networkmode = network, t = other_image, version = one_of("", "1") }
)

-- The engine runs `ps` as root with these words, and shows the lines in whose column PID it finds a process of the
-- container. By other words (`-orss=PID -oargs -e f`) that column has another number, and any process of the host is shown.
local processes = like(
    function(value) return value == "" or value == "-ef" or value == "aux" or value:find("^%-e?o pid,[%l,]+$") end,
    "-ef, aux, or -eo and names of columns, the first of them pid, such as -eo pid,comm"
)

local CALLS = {
    { "GET HEAD", "/_ping" },
    { "GET", "/info" },
    { "GET", "/version" },
    { "GET", "/events", keys("filters since until") },
    { "POST", "/auth" },
    { "POST", "/build", BUILD },
    { "GET", "/images/json", keys("all digests filter filters manifests only_ids shared-size") },
    { "POST", "/images/create", keys("platform tag", { fromImage = pulled_image }) },
    { "GET", "/images/get", keys("names platform") },
    { "GET", "/images/{i}/get", keys("platform") },
    { "GET", "/images/{i}/json", keys("manifests platform") },
    { "GET", "/images/{i}/history", keys("platform") },
    { "POST", "/images/{i}/tag", keys("force tag", { repo = other_image }) },
    { "POST", "/images/{i}/push", keys("platform tag") },
    { "DELETE", "/images/{d}", keys("force noprune platforms") },
    { "GET", "/containers/json", keys("all before filters limit since size trunc_cmd") },
    { "POST", "/containers/create", keys("platform", { name = other_container }), CONTAINER },
    -- `docker inspect IMAGE` asks for a container of that name first, and looks for an image only after a 404. The
    -- engine gives that answer best, so an image's name is let through here.
    { "GET", "/containers/{i}/json", keys("size") },
    { "GET", "/containers/{c}/top", { ps_args = processes } },
    { "GET", "/containers/{c}/changes" },
    { "GET", "/containers/{c}/stats", keys("one-shot stream") },
    { "GET", "/containers/{c}/logs", keys("details follow since stderr stdout tail timestamps until") },
    { "POST", "/containers/{c}/attach", keys("detachKeys logs stderr stdin stdout stream") },
    { "POST", "/containers/{c}/start", keys("detachKeys") },
    { "POST", "/containers/{c}/stop", keys("signal t") },
    { "POST", "/containers/{c}/restart", keys("signal t") },
    { "POST", "/containers/{c}/kill", keys("signal") },
    { "POST", "/containers/{c}/pause" },
    { "POST", "/containers/{c}/unpause" },
    { "POST", "/containers/{c}/resize", keys("h w") },
    { "POST", "/containers/{c}/wait", keys("condition") },
    { "GET HEAD PUT", "/containers/{c}/archive", keys("copyUIDGID noOverwriteDirNonDir path") },
    { "POST", "/containers/{c}/rename", { name = other_container } },
    { "DELETE", "/containers/{c}", keys("force link v") },
    { "POST", "/containers/{c}/exec", {}, EXEC },
    { "POST", "/exec/{c}/start" },
    { "POST", "/exec/{c}/resize", keys("h w") },
    { "GET", "/exec/{c}/json" },
    { "GET", "/networks", keys("filters") },
    { "GET", "/networks/{n}", keys("scope verbose") },
    { "POST", "/networks/create", {}, NETWORK },
    { "POST", "/networks/{n}/connect", {}, CONNECT },
    { "POST", "/networks/{n}/disconnect", {}, DISCONNECT },
    { "DELETE", "/networks/{n}" },
    { "GET", "/volumes", keys("filters") },
    { "GET", "/volumes/{v}" },
    { "POST", "/volumes/create", {}, VOLUME },
    { "DELETE", "/volumes/{v}", keys("force") },
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

-- The ends of calls that can last, of which HAProxy lets only so many through at a time.
local LASTING = {}
for word in ("build create push start attach logs wait stats events get archive prune"):gmatch("%a+") do
    LASTING[word] = "yes"
end

local KINDS = {
    c = { "(" .. NAME .. ")", other_container },
    i = { "([%w][%w_.:@/-]*)", like(function(value) return not is_own(value) end, "a name that is not the proxy's") },
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

judge("judge_request", function(txn)
    local url = txn.sf:url()
    local call = call_of(txn.sf:method(), path_of(url))
    local given = {}
    for _, pair in ipairs(query_of(url)) do
        local shape = (call[3] or {})[pair[1]]
        if not shape then
            refuse("a Docker pipeline does not need " .. pair[1] .. "= of " .. call[2])
        end
        shape(pair[2], pair[1] .. "=")
        given[pair[1]] = true
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
    txn:set_var("txn.lasts", LASTING[call[2]:match("%a+$")] or "no")
    return call[4] and "body" or "pass"
end)

judge("judge_body", function(txn)
    local body = txn.sf:req_body()
    if #body ~= tonumber(txn.sf:req_hdr("content-length")) then
        refuse("the body did not come, or is too long")
    end
    call_of(txn.sf:method(), path_of(txn.sf:url()))[4](decode(body), "")
    return "pass"
end)
