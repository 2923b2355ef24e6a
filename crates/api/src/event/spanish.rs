//! The Spanish sentences of events. A type without one keeps its English sentence.

use vim::{DataId, data_id};

pub(super) struct Sentence {
    pub ty: DataId,
    pub description: &'static str,
    /// As in the catalog: `{a.b}` stands for field `b` of field `a` of the event.
    pub format: &'static str,
}

macro_rules! sentences {
    ($($ty:ident $description:literal $format:literal;)*) => {
        &[$(Sentence { ty: data_id!($ty), description: $description, format: $format }),*]
    };
}

pub(super) const CATEGORIES: &[(&str, &str)] =
    &[("info", "Información"), ("warning", "Advertencia"), ("error", "Error"), ("user", "Usuario")];

pub(super) const SENTENCES: &[Sentence] = sentences! {
    VmBeingCreatedEvent "Creando máquina virtual" "Creando {vm.name} en {host.name}, en {datacenter.name}";
    VmCreatedEvent "Máquina virtual creada" "Se creó la máquina virtual {vm.name} en {host.name}, en {datacenter.name}";
    VmRegisteredEvent "Máquina virtual registrada" "Se registró {vm.name} en {host.name}, en {datacenter.name}";
    VmRemovedEvent "Máquina virtual eliminada" "Se eliminó {vm.name}, que estaba en {host.name}, de {datacenter.name}";
    VmStartingEvent "Máquina virtual iniciándose" "{vm.name} se está iniciando en {host.name}, en {datacenter.name}";
    VmPoweredOnEvent "Máquina virtual encendida" "{vm.name} está encendida en {host.name}, en {datacenter.name}";
    VmFailedToPowerOnEvent "No se puede encender la máquina virtual" "No se puede encender {vm.name} en {host.name}: {reason.localizedMessage}";
    VmStoppingEvent "Máquina virtual deteniéndose" "{vm.name} se está deteniendo en {host.name}, en {datacenter.name}";
    VmPoweredOffEvent "Máquina virtual apagada" "{vm.name} está apagada en {host.name}, en {datacenter.name}";
    VmFailedToPowerOffEvent "No se puede apagar la máquina virtual" "No se puede apagar {vm.name} en {host.name}: {reason.localizedMessage}";
    VmSuspendingEvent "Máquina virtual suspendiéndose" "{vm.name} se está suspendiendo en {host.name}, en {datacenter.name}";
    VmSuspendedEvent "Máquina virtual suspendida" "{vm.name} está suspendida en {host.name}, en {datacenter.name}";
    VmResumingEvent "Máquina virtual reanudándose" "{vm.name} se está reanudando en {host.name}, en {datacenter.name}";
    VmResettingEvent "Máquina virtual reiniciándose" "{vm.name} se reinicia en {host.name}, en {datacenter.name}";
    VmGuestShutdownEvent "Apagado del sistema invitado" "El sistema invitado de {vm.name} se apaga en {host.name}, en {datacenter.name}";
    VmGuestRebootEvent "Reinicio del sistema invitado" "El sistema invitado de {vm.name} se reinicia en {host.name}, en {datacenter.name}";
    VmReconfiguredEvent "Máquina virtual reconfigurada" "Se reconfiguró {vm.name} en {host.name}, en {datacenter.name}";
    VmRenamedEvent "Máquina virtual renombrada" "Se cambió el nombre de {oldName} a {newName} en {host.name}, en {datacenter.name}";
    VmDisconnectedEvent "Máquina virtual desconectada" "{vm.name}, en el host {host.name}, está desconectada";
    VmConnectedEvent "Máquina virtual conectada" "{vm.name}, en el host {host.name}, está conectada";
    VmMigratedEvent "Máquina virtual migrada" "{vm.name} se migró de {sourceHost.name} a {host.name}";
    VmRelocatedEvent "Máquina virtual reubicada" "{vm.name} se reubicó de {sourceHost.name} a {host.name}";
    VmClonedEvent "Máquina virtual clonada" "{sourceVm.name} se clonó como {vm.name} en {host.name}";
    VmResourcePoolMovedEvent "Máquina virtual cambiada de grupo de recursos" "{vm.name} pasó del grupo de recursos {oldParent.name} a {newParent.name}";
    VmMacConflictEvent "Conflicto de dirección MAC" "La dirección MAC {mac} de {vm.name} en {host.name} es también la de {conflictedVm.name}";
    HostAddedEvent "Host agregado" "Se agregó el host {host.name} al centro de datos {datacenter.name}";
    HostConnectedEvent "Host conectado" "Conectado a {host.name} en {datacenter.name}";
    HostDisconnectedEvent "Host desconectado" "Desconectado de {host.name} en {datacenter.name}";
    HostConnectionLostEvent "Conexión con el host perdida" "El host {host.name} en {datacenter.name} no responde";
    HostRemovedEvent "Host eliminado" "Se eliminó el host {host.name} en {datacenter.name}";
    EnteringMaintenanceModeEvent "Entrando en modo de mantenimiento" "El host {host.name} en {datacenter.name} está entrando en modo de mantenimiento";
    EnteredMaintenanceModeEvent "En modo de mantenimiento" "El host {host.name} en {datacenter.name} está en modo de mantenimiento";
    ExitMaintenanceModeEvent "Fin del modo de mantenimiento" "El host {host.name} en {datacenter.name} salió del modo de mantenimiento";
    DatacenterCreatedEvent "Centro de datos creado" "Se creó el centro de datos {datacenter.name} en {parent.name}";
    DatacenterRenamedEvent "Centro de datos renombrado" "Se cambió el nombre del centro de datos de {oldName} a {newName}";
    ClusterCreatedEvent "Clúster creado" "Se creó el clúster {computeResource.name} en {parent.name}";
    ClusterReconfiguredEvent "Clúster reconfigurado" "Se reconfiguró el clúster {computeResource.name}";
    ClusterDestroyedEvent "Clúster eliminado" "Se eliminó el clúster {computeResource.name}";
    ResourcePoolCreatedEvent "Grupo de recursos creado" "Se creó el grupo de recursos {resourcePool.name} en {parent.name}";
    ResourcePoolReconfiguredEvent "Grupo de recursos reconfigurado" "Se reconfiguró el grupo de recursos {resourcePool.name}";
    ResourcePoolMovedEvent "Grupo de recursos movido" "El grupo de recursos {resourcePool.name} pasó de {oldParent.name} a {newParent.name}";
    ResourcePoolDestroyedEvent "Grupo de recursos eliminado" "Se eliminó el grupo de recursos {resourcePool.name}";
    DatastoreDiscoveredEvent "Almacén de datos encontrado" "Se encontró el almacén de datos {datastore.name} en {host.name}";
    DatastoreRemovedOnHostEvent "Almacén de datos quitado del host" "Se quitó el almacén de datos {datastore.name} de {host.name}";
    DatastoreRenamedEvent "Almacén de datos renombrado" "Se cambió el nombre del almacén de datos de {oldName} a {newName}";
    CustomFieldDefAddedEvent "Campo personalizado agregado" "Se agregó el campo personalizado {name}";
    CustomFieldDefRenamedEvent "Campo personalizado renombrado" "Se cambió el nombre del campo personalizado de {name} a {newName}";
    CustomFieldDefRemovedEvent "Campo personalizado eliminado" "Se eliminó el campo personalizado {name}";
    CustomFieldValueChangedEvent "Campo personalizado cambiado" "El campo personalizado {name} de {entity.name} cambió a {value}";
    RoleAddedEvent "Rol agregado" "Se agregó el rol {role.name}";
    RoleUpdatedEvent "Rol cambiado" "Se cambió el rol {role.name}";
    RoleRemovedEvent "Rol eliminado" "Se eliminó el rol {role.name}";
    PermissionAddedEvent "Permiso agregado" "Se dio a {principal} el rol {role.name} en {entity.name}";
    PermissionUpdatedEvent "Permiso cambiado" "El permiso de {principal} en {entity.name} es ahora el rol {role.name}";
    PermissionRemovedEvent "Permiso eliminado" "Se quitó el permiso de {principal} en {entity.name}";
    ScheduledTaskCreatedEvent "Tarea programada creada" "Se creó la tarea programada {scheduledTask.name} en {entity.name}";
    ScheduledTaskStartedEvent "Tarea programada iniciada" "La tarea programada {scheduledTask.name} en {entity.name} comenzó";
    ScheduledTaskCompletedEvent "Tarea programada completada" "La tarea programada {scheduledTask.name} en {entity.name} terminó bien";
    ScheduledTaskFailedEvent "Tarea programada fallida" "La tarea programada {scheduledTask.name} en {entity.name} falló: {reason.localizedMessage}";
    ScheduledTaskReconfiguredEvent "Tarea programada reconfigurada" "Se reconfiguró la tarea programada {scheduledTask.name} en {entity.name}";
    ScheduledTaskRemovedEvent "Tarea programada eliminada" "Se eliminó la tarea programada {scheduledTask.name} en {entity.name}";
    TaskEvent "Tarea" "Tarea: {info.descriptionId}";
    UserLoginSessionEvent "Inicio de sesión" "El usuario {userName}@{ipAddress} inició sesión como {userAgent}";
    UserLogoutSessionEvent "Cierre de sesión" "El usuario {userName}@{ipAddress} cerró la sesión";
    BadUsernameSessionEvent "No se puede iniciar sesión" "{userName}@{ipAddress} no puede iniciar sesión";
    AlreadyAuthenticatedSessionEvent "Sesión ya iniciada" "El usuario no puede iniciar sesión porque ya la inició";
    GlobalMessageChangedEvent "Mensaje global cambiado" "El mensaje global cambió de '{prevMessage}' a '{message}'";
    AccountCreatedEvent "Cuenta creada" "{userName} creó la cuenta {spec.id}";
    AccountRemovedEvent "Cuenta eliminada" "{userName} eliminó la cuenta {account}";
    AccountUpdatedEvent "Cuenta cambiada" "{userName} cambió la cuenta {spec.id}";
    UserPasswordChanged "Contraseña cambiada" "{userName} cambió la contraseña de {userLogin}";
    UserAssignedToGroup "Miembro agregado a un grupo" "{userName} agregó {userLogin} al grupo {group}";
    UserUnassignedFromGroup "Miembro quitado de un grupo" "{userName} quitó {userLogin} del grupo {group}";
    SessionTerminatedEvent "Sesión terminada" "{userName} terminó una sesión de {terminatedUsername}";
    GeneralUserEvent "Evento de usuario" "{message}";
    GeneralEvent "Evento general" "{message}";
    EventEx "Evento extendido" "{message}";
    ExtendedEvent "Evento extendido" "{message}";
};
