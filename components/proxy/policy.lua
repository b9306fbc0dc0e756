-- What of the engine's API a Docker pipeline may use: HAProxy asks this about each request (`judge_request`), and about
-- the JSON of those that create something (`judge_body`). Loaded as
--
--     lua-load-per-thread policy.lua OWN LABEL,... IMAGE... /PATH?KEY=VALUE&...
--
-- with the name of the proxy's own container, which its volume has too, the labels that only stacks may give (all below
-- one that ends with `/`), the images that the stack is deployed from, and the calls of the stack's pruner. `+` before an
-- image says that jobs may pull it.
--
-- Everything here is a list of what is allowed: calls, keys of their queries, fields of their bodies, and values
-- where they matter. An engine's JSON decoder takes keys in any case, and merges two of one name. So a key has to be
-- spelt as the clients spell it, and only once, and what is judged is the decoded value.
--
-- HAProxy goes on after an error in Lua. So it lets through only what has `txn.verdict` = "pass" at the end.

local own, stack_labels = ...
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
local function decode(text, what)
    local at, values = 1, 0

    local function skip()
        at = text:find("[^ \t\r\n]", at) or #text + 1
        return text:sub(at, at)
    end

    local function broken()
        refuse(what .. " is not JSON, at byte " .. at)
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
            refuse(what .. " has more than " .. DEEPEST .. " levels, or " .. MOST .. " values")
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
                    refuse(what .. " has the key " .. key .. " twice in one place")
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
    if type(value) == "table" and value ~= NULL then
        return value.list and "[...]" or "{...}"
    end
    if value == NULL then
        return "null"
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

-- No null in a list: where the engine has pointers, it goes on with none and panics.
local function list(item)
    return function(value, place)
        for index, inner in ipairs(inside(value, place, "list", "a list")) do
            local where = place .. "[" .. index - 1 .. "]"
            if inner == NULL then
                deny(inner, where, "no null in a list")
            end
            item(inner, where)
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

local function between(least, most)
    return function(value, place)
        number(value, place)
        if value ~= NULL and not (value >= least and value <= most) then
            deny(value, place, least .. " to " .. most)
        end
    end
end

local texts, numbers = list(text), list(number)
local no_text, no_list, no_map, no_number, off = one_of(""), list(absent), struct({}), one_of(0), one_of(false)

-- Short texts that end in a file, a table or a command of the engine.
local plain = like("^[^%c]*$", "text without control characters")
local host = like("^[%w_.-]*$", "the name of a host, such as db-1")
local address = like(function(value)
    return value == "" or value:find("^%d+%.%d+%.%d+%.%d+$") or value:find("^%x*:[%x:.]*$")
end, "an IP address")
local hardware_address = like("^[%x:.-]*$", "a hardware address such as 02:42:ac:11:00:02")
local port = like("^%d+%-?%d*/?%l*$", "a port such as 80/tcp")
local cpus = like("^[%d,-]*$", "numbers of processors or memory nodes, such as 0-2,4")
local signal = like("^[%w+-]*$", "a signal such as TERM")
local detach_keys = like("^[%w@^%[%]\\_,-]*$", "keys such as ctrl-p,ctrl-q")
-- In queries.
local switch = one_of("", "0", "1", "true", "false", "True", "False")
local count = like("^-?%d*$", "a whole number")
local moment = like("^[%w:.+-]*$", "a time such as 1700000000 or 10m")
-- A call that waits for a container's end has a place for so long.
local LONGEST_STOP = 600
local seconds = like(
    function(value) return value:find("^%d%d?%d?$") and tonumber(value) <= LONGEST_STOP end,
    "0 to " .. LONGEST_STOP .. " seconds"
)
local function json(shape)
    return function(value, place)
        if value ~= "" then
            shape(decode(value, place), place)
        end
    end
end

-- The operator's verbs know by these labels what is a stack's.
local label = like(function(key)
    for each in stack_labels:gmatch("[^,]+") do
        if key:lower() == each or each:find("/$") and key:lower():sub(1, #each) == each then
            return false
        end
    end
    return true
end, "a label of your own; only a stack of this project gives " .. stack_labels:gsub(",", ", "))
local labels = map(label, text)

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
for index = 3, select("#", ...) do
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
    IPAMConfig = struct({ IPv4Address = address, IPv6Address = address, LinkLocalIPs = list(address) }),
    Links = list(link), Aliases = list(host), MacAddress = hardware_address, DriverOpts = no_map, GwPriority = number,
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

-- Not: rtprio, nice and rttime, which take the processors from everybody else.
local ulimits = list(struct({
    Name = one_of("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nofile", "nproc", "rss", "sigpending",
        "stack"),
    Hard = number, Soft = number,
}))

local HOST = {
    Binds = list(bind), VolumesFrom = list(volumes_from), VolumeDriver = one_of("", "local"), Mounts = list(mount),
    Tmpfs = map(place_of_tmpfs, tmpfs), ReadonlyRootfs = flag, ShmSize = number,
    -- How it is confined.
    Privileged = off, CapDrop = list(like("^[%w_]+$", "a capability")),
    CapAdd = list(like(
        function(value) return CAPABILITIES[value:upper()] end,
        "the capabilities that a container has anyway, such as CHOWN"
    )),
    SecurityOpt = list(one_of("no-new-privileges", "no-new-privileges:true", "no-new-privileges=true")),
    MaskedPaths = absent, ReadonlyPaths = absent, -- [] would unmask them
    Devices = no_list, DeviceRequests = no_list, DeviceCgroupRules = no_list, Annotations = no_map, StorageOpt = no_map,
    PidMode = no_text, UTSMode = no_text, UsernsMode = no_text, CgroupnsMode = one_of("", "private"),
    IpcMode = one_of("", "none", "private", "shareable"), Cgroup = no_text, CgroupParent = no_text,
    Runtime = one_of("", "runc"), Isolation = one_of("", "default"), GroupAdd = list(like("^[%w_.-]+$", "a group")),
    Sysctls = map(
        like("^net%.[%w_-]+%.[%w_.-]+$", "--sysctl of the container's own network, such as net.core.somaxconn"),
        like("^[%w %.,-]*$", "words and numbers")
    ),
    -- Its network.
    NetworkMode = network, Links = list(link), Dns = list(address), DnsSearch = list(host),
    DnsOptions = list(like("^[%w:_-]+$", "an option such as ndots:2")),
    ExtraHosts = list(like("^[%w_.-]+[:=][%w.:%[%]-]+$", "NAME:ADDRESS, such as db:192.0.2.1 or db:host-gateway")),
    PortBindings = map(port, list(struct({
        HostIp = address, HostPort = like("^%d*%-?%d*$", "a port of the host, such as 8080"),
    }))),
    PublishAllPorts = flag,
    -- Its limits.
    Memory = number, MemoryReservation = number, MemorySwap = number, MemorySwappiness = number, KernelMemory = number,
    KernelMemoryTCP = number, OomKillDisable = off, NanoCpus = number, CpuShares = number, CpuPeriod = number,
    CpuQuota = number, CpusetCpus = cpus, CpusetMems = cpus, CpuRealtimePeriod = no_number,
    CpuRealtimeRuntime = no_number, CpuCount = number, CpuPercent = number, IOMaximumIOps = number,
    IOMaximumBandwidth = number, BlkioWeight = number, PidsLimit = number,
    -- These name files of the host, and the answer would tell whether they exist.
    BlkioWeightDevice = no_list, BlkioDeviceReadBps = no_list, BlkioDeviceWriteBps = no_list,
    BlkioDeviceReadIOps = no_list, BlkioDeviceWriteIOps = no_list,
    Ulimits = ulimits, OomScoreAdj = between(0, 1000),
    -- How it runs. The file is the client's own; the engine only keeps the name.
    AutoRemove = flag, Init = flag, ConsoleSize = numbers, ContainerIDFile = plain, LogConfig = log,
    RestartPolicy = struct({
        Name = one_of("", "no", "always", "on-failure", "unless-stopped"), MaximumRetryCount = number,
    }),
}

local health = struct({
    Test = texts, Interval = number, Timeout = number, StartPeriod = number, StartInterval = number, Retries = number,
})
local PROCESS = {
    User = like("^[%w_.:-]*$", "a user and a group, such as 1000:1000"), Env = texts, Cmd = texts, WorkingDir = working, Tty = flag, AttachStdin = flag, AttachStdout = flag,
    AttachStderr = flag,
}
local function process(more)
    for name, shape in pairs(PROCESS) do
        more[name] = shape
    end
    return struct(more)
end

local CONTAINER = process({
    Hostname = host, Domainname = host, ExposedPorts = map(port, no_map), OpenStdin = flag, StdinOnce = flag,
    ArgsEscaped = flag, Healthcheck = health, Image = plain, Volumes = map(mounted, no_map),
    Entrypoint = texts, NetworkDisabled = flag, MacAddress = hardware_address, OnBuild = no_list, Labels = labels,
    StopSignal = signal, StopTimeout = between(0, LONGEST_STOP), Shell = texts, HostConfig = struct(HOST),
    -- docker-py has a network's name in the place of EndpointsConfig, with null, which engines ignore.
    NetworkingConfig = struct({ EndpointsConfig = map(network, endpoint) }, absent),
})
local EXEC = process({
    Privileged = off, Detach = flag, DetachKeys = detach_keys, ConsoleSize = numbers, Container = other_container,
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

-- The calls: methods, path, the shapes of the query's keys, the body's shape. In a path, {c} is a container or an exec, {i} an
-- image, {n} a network, {v} a volume. ---------------------------------------------------------------------------------

local function keys(shapes)
    local found = {}
    for words, shape in pairs(shapes) do
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
    buildargs = json(map(text, text)), cachefrom = json(texts), labels = json(labels), ulimits = json(ulimits),
    cgroupparent = no_text, networkmode = network, t = other_image, version = one_of("", "1"),
})

-- The engine runs `ps` as root with these words, and shows the lines in whose column PID it finds a process of the
-- container. By other words (`-orss=PID -oargs -e f`) that column has another number, and any process of the host is shown.
local processes = like(
    function(value) return value == "" or value == "-ef" or value == "aux" or value:find("^%-e?o pid,[%l,]+$") end,
    "-ef, aux, or -eo and names of columns, the first of them pid, such as -eo pid,comm"
)

-- The engine asks the registry that stands before the first slash.
local term = like(
    function(value) return value:find("^[%w][%w_./-]*$") and repository(value):find("^docker%.io/") end,
    "words for Docker Hub"
)

local CALLS = {
    { "GET HEAD", "/_ping" },
    { "GET", "/info" },
    { "GET", "/version" },
    { "GET", "/events", keys({ filters = plain, ["since until"] = moment }) },
    { "GET", "/system/df", keys({ type = one_of("container", "image", "volume", "build-cache"), verbose = switch }) },
    { "POST", "/auth" },
    { "POST", "/build", BUILD },
    { "GET", "/images/json", keys({
        ["all digests manifests only_ids shared-size"] = switch, ["filter filters"] = plain,
    }) },
    { "GET", "/images/search", { term = term, limit = count, filters = plain } },
    { "POST", "/images/create", { fromImage = pulled_image, platform = plain, tag = plain } },
    { "GET", "/images/get", { names = plain, platform = plain } },
    { "GET", "/images/{i}/get", { platform = plain } },
    { "GET", "/images/{i}/json", { manifests = switch, platform = plain } },
    { "GET", "/images/{i}/history", { platform = plain } },
    { "POST", "/images/{i}/tag", { repo = other_image, force = switch, tag = plain } },
    { "POST", "/images/{i}/push", { platform = plain, tag = plain } },
    { "DELETE", "/images/{d}", { force = switch, noprune = switch, platforms = plain } },
    { "GET", "/containers/json", keys({
        ["all size trunc_cmd"] = switch, ["before filters since"] = plain, limit = count,
    }) },
    { "POST", "/containers/create", { name = other_container, platform = plain }, CONTAINER },
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
    { "POST", "/containers/{c}/stop", { signal = signal, t = seconds } },
    { "POST", "/containers/{c}/restart", { signal = signal, t = seconds } },
    { "POST", "/containers/{c}/kill", { signal = signal } },
    { "POST", "/containers/{c}/pause" },
    { "POST", "/containers/{c}/unpause" },
    { "POST", "/containers/{c}/resize", { h = count, w = count } },
    { "POST", "/containers/{c}/wait", { condition = one_of("", "not-running", "next-exit", "removed") } },
    { "GET HEAD PUT", "/containers/{c}/archive", keys({
        ["copyUIDGID noOverwriteDirNonDir"] = switch, path = plain,
    }) },
    { "POST", "/containers/{c}/rename", { name = other_container } },
    { "DELETE", "/containers/{c}", keys({ ["force link v"] = switch }) },
    { "POST", "/containers/{c}/exec", {}, EXEC },
    { "POST", "/exec/{c}/start" },
    { "POST", "/exec/{c}/resize", { h = count, w = count } },
    { "GET", "/exec/{c}/json" },
    { "GET", "/networks", { filters = plain } },
    { "GET", "/networks/{n}", { scope = plain, verbose = switch } },
    { "POST", "/networks/create", {}, NETWORK },
    { "POST", "/networks/{n}/connect", {}, CONNECT },
    { "POST", "/networks/{n}/disconnect", {}, DISCONNECT },
    { "DELETE", "/networks/{n}" },
    { "GET", "/volumes", { filters = plain } },
    { "GET", "/volumes/{v}" },
    { "POST", "/volumes/create", {}, VOLUME },
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

-- What the engine answers from memory, whatever its containers do. Every other call counts as one that can last. So does
-- a look at a container: the engine waits for whoever has it locked, as by a copy out of it that is never read.
local SHORT = {}
for call in ("GET/_ping HEAD/_ping GET/info GET/version GET/images/json GET/images/{i}/json GET/images/{i}/history "
    .. "GET/containers/json GET/networks GET/networks/{n} GET/volumes GET/volumes/{v}"):gmatch("%S+") do
    SHORT[call] = true
end
local MEASURES = { size = true, ["shared-size"] = true } -- the engine walks through files

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
    return call[4] and "body" or "pass"
end)

judge("judge_body", function(txn)
    local body = txn.sf:req_body()
    if #body ~= tonumber(txn.sf:req_hdr("content-length")) then
        refuse("the body did not come, or is too long")
    end
    call_of(txn.sf:method(), path_of(txn.sf:url()))[4](decode(body, "the body"), "")
    return "pass"
end)
